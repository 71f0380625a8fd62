// With a CPU threshold that nothing reaches and `blocked` at its default of 5 s: blocking for 4 s gives nothing, 8 s exactly
// one file; being stopped for 10 s, a synchronous boot of 10 s and an idle process give nothing.
import assert from 'node:assert/strict'
import { shareIn, withWatched } from './programs/watched-program.mjs'

const options = { cpu: { threshold: 10_000, duration: 30_000 } }
const sleep = (ms) => new Promise((later) => setTimeout(later, ms))

async function stops(program) {
  program.child.stdin.write('stop')
  await program.hears('stopped')
}

/** How many files a program leaves that hangs for this long. */
const filesAfterHang = (ms) =>
  withWatched(options, ['onDemand'], async (program) => {
    await program.starts()
    await sleep(1500)
    program.child.stdin.write(String(ms))
    await program.hears('turns', 2)
    await stops(program)
    for (const name of program.files()) {
      assert.match(name, /^blocked-cpu-\d+-\d+\.cpuprofile$/)
      assert.ok(shareIn(program.path(name), 'hang') > 0.5)
    }
    return program.files().length
  })

const filesAfterStop = () =>
  withWatched(options, ['onDemand'], async (program) => {
    await program.starts()
    await sleep(1500)
    program.child.kill('SIGSTOP')
    await sleep(10_000)
    program.child.kill('SIGCONT')
    await sleep(2000)
    await stops(program)
    return program.files().length
  })

const filesAfterBoot = () =>
  withWatched(options, ['slowBoot', 10_000], async (program) => {
    await program.hears('turns')
    await stops(program)
    return program.files().length
  })

const filesWhenIdle = () =>
  withWatched(options, ['onDemand'], async (program) => {
    await program.starts()
    await sleep(15_000)
    await stops(program)
    return program.files().length
  })

const found = {
  'blocked 4 s': await filesAfterHang(4000),
  'blocked 8 s': await filesAfterHang(8000),
  'stopped 10 s': await filesAfterStop(),
  'boot of 10 s': await filesAfterBoot(),
  idle: await filesWhenIdle(),
}
assert.deepEqual(found, { 'blocked 4 s': 0, 'blocked 8 s': 1, 'stopped 10 s': 0, 'boot of 10 s': 0, idle: 0 })
const figures = Object.entries(found).map(([what, files]) => `${what}: ${files} files`)
console.log(figures.join(', '))
