// A main thread that never comes back leaves its evidence while it still spins, at most
// counter × interval + duration + 3 s after the loop began: an endless loop, a hostile regular expression, and a memory
// threshold crossed inside a synchronous loop. DevTools opens each file and names who is to blame.
import assert from 'node:assert/strict'
import { withDevTools } from './programs/open-in-devtools.mjs'
import { shareIn, withWatched } from './programs/watched-program.mjs'

const counter = 2
const interval = 1000
const duration = 3000
const cpu = { threshold: 20, counter, interval, duration }
const memory = { threshold: '180mb', counter, interval }
const maxMs = counter * interval + duration + 3000

const figures = []
for (const [way, kind, options, guilty] of [
  ['loop', 'cpu', { cpu }, 'guiltyLoop'],
  ['regex', 'cpu', { cpu }, 'guiltyRegex'],
  ['hoarder', 'memory', { memory }, 'GuiltyRecord'],
]) {
  await withWatched(options, [way], async (program) => {
    const { atMs } = await program.hears('hangs')
    const name = await program.leavesFile()
    const tookMs = performance.now() - atMs
    assert.ok(program.isRunning())
    program.child.kill('SIGKILL')
    const file = program.path(name)
    if (kind === 'cpu')
      assert.ok(shareIn(file, guilty) > 0.9, `${way}: ${shareIn(file, guilty)} of the samples`)
    await withDevTools(async (devTools) => {
      if (kind === 'cpu') assert.ok(await devTools.blames(file, guilty))
      else assert.ok((await devTools.instances(file, guilty)) > 0)
    })
    assert.ok(tookMs <= maxMs, `${way}: ${Math.round(tookMs)} ms, allowed are ${maxMs}`)
    figures.push(`${way} ${(tookMs / 1000).toFixed(1)} of ${maxMs / 1000} s`)
  })
}
console.log(`${figures.join(', ')}; DevTools opens each and names who is to blame`)
