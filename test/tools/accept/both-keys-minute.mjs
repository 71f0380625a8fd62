// Both keys on for a minute, on a thread and on the main thread. Both overloaded: dumps never overlap, and each begins
// after the one before it has settled. Only memory overloaded: its dumps use CPU, and none of that makes a CPU dump.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { startProgram } from './programs/start-program.mjs'

const MINUTE_MS = 60_000
const SETTLING_MS = 5000
/** Starts are written down in whole ms. */
const ROUNDING_MS = 2

/** A memory reading is a moment, a CPU reading a span: memory trips first after each dump, until its budget is spent. */
const BUDGET = 4
const memory = { interval: 200, threshold: 1, counter: 2, limiter: [100, 'hour'] }
const overloaded = { interval: 200, duration: 1000, threshold: 5, counter: 2, limiter: [BUDGET, 'hour'] }
const calm = { ...overloaded, threshold: 60, counter: 1 }

const figures = []
for (const watchdog of [true, false]) {
  const limited = { ...memory, limiter: [BUDGET, 'hour'] }
  const both = startProgram('burn.js', { cpu: overloaded, memory: limited, watchdog })
  const onlyMemory = startProgram('by-hand.js', { cpu: calm, memory, watchdog })
  await sleep(MINUTE_MS)
  for (const program of [both, onlyMemory]) {
    program.end()
    assert.deepEqual(await program.ended, { code: 0, signal: null })
    assert.deepEqual(program.said('failure'), [])
  }

  const dumps = spans(both)
  const kinds = ['cpu', 'memory'].map((kind) => dumps.filter((dump) => dump.kind === kind).length)
  assert.ok(
    Math.min(...kinds) >= 1 && Math.max(...kinds) <= BUDGET,
    `CPU and memory dumps: ${kinds.join(' and ')}`,
  )
  const gaps = dumps.slice(1).map(({ startMs }, index) => startMs - dumps[index].endMs)
  const smallest = Math.min(...gaps)
  assert.ok(smallest >= SETTLING_MS - ROUNDING_MS, `a dump began ${smallest} ms after the end of another`)

  const caused = onlyMemory.said('dump').map(({ kind }) => kind)
  assert.ok(caused.length >= 2)
  assert.ok(!caused.includes('cpu'), 'a memory dump caused a CPU dump')
  assert.ok(!onlyMemory.said('skip').some(({ kind }) => kind === 'cpu'))

  figures.push(
    `watchdog ${watchdog}: ${kinds[0]} CPU and ${kinds[1]} memory dumps, smallest gap ${Math.round(smallest)} ms, ` +
      `0 CPU dumps beside ${caused.length} memory dumps alone`,
  )
  for (const program of [both, onlyMemory]) program.forget()
}
console.log(figures.join('; '))

function spans(program) {
  return program
    .said('dump')
    .map(({ kind, file, durationMs }) => {
      const { where } = JSON.parse(readFileSync(`${file}.json`, 'utf8'))
      const startMs = Date.parse(where.startedAt)
      return { kind, startMs, endMs: startMs + durationMs }
    })
    .sort((one, other) => one.startMs - other.startMs)
}
