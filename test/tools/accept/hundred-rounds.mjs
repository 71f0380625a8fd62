// A hundred rounds of start and stop, with every other monitor stopped before it has got going: threads, descriptors,
// listeners, caught signals and timers are what they were before the first.
import assert from 'node:assert/strict'
import { startProgram } from './programs/start-program.mjs'

const ROUNDS = 100
const cpu = { interval: 20, threshold: 100_000 }
const memory = { interval: 20, threshold: '1000gb' }

const figures = []
for (const watchdog of [true, false]) {
  const startedAt = performance.now()
  const program = startProgram('rounds.js', { cpu, memory, watchdog }, String(ROUNDS))
  assert.deepEqual(await program.ended, { code: 0, signal: null })
  const [before] = program.said('before')
  const [after] = program.said('after')
  assert.ok(before && after)
  assert.deepEqual({ ...after, name: '' }, { ...before, name: '' })
  assert.deepEqual(program.said('line'), [])
  program.forget()
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
  figures.push(
    `watchdog ${watchdog}: ${ROUNDS} rounds in ${seconds} s, ${after.threads} threads and ${after.descriptors.length} descriptors as before`,
  )
}
console.log(figures.join('; '))
