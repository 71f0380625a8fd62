import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ENGINES, runFixture } from './run-fixture'

/** GCs by allocation alone: no clock, no second thread and no random number has a say in when they come. */
const REPRODUCIBLE = [
  '--min-semi-space-size=1',
  '--max-semi-space-size=1',
  '--heap-growing-percent=20',
  '--no-memory-reducer',
  '--no-incremental-marking',
  '--single-threaded',
  '--hash-seed=1',
  '--random-seed=1',
]
const MB = 1024 * 1024

/** Runs the same work and returns the heap after each full GC by V8's own account, and what was read. */
async function collections(engine: string, watch: string, flags: readonly string[], idleMs?: number) {
  const args = idleMs === undefined ? [engine, watch] : [engine, watch, String(idleMs)]
  const output = await runFixture('collections.js', args, ['--trace-gc', ...flags])
  const [working = '', idle = ''] = output.split('\nworked ')
  const readings = JSON.parse(idle.slice(0, idle.indexOf('\n'))) as number[]
  return {
    traced: heapsAfterGc(working),
    readings,
    tracedIdle: heapsAfterGc(idle).length,
    scavenges: countScavenges(working),
  }
}

function heapsAfterGc(output: string): number[] {
  return [...output.matchAll(/Mark-Compact .*? -> ([\d.]+) /g)].map((match) => Number(match[1]) * MB)
}

function countScavenges(output: string): number {
  return output.match(/: Scavenge /g)?.length ?? 0
}

for (const { engine, skip } of ENGINES) {
  describe(`readings after full GCs, engine ${engine}`, { skip }, () => {
    test('cause no GC, miss none, take no scavenge for one, and are the heap after it', async () => {
      const unwatched = await collections(engine, 'unwatched', REPRODUCIBLE)
      const watched = await collections(engine, 'watched', REPRODUCIBLE)
      assert.deepEqual(unwatched.readings, [])
      assert.ok(watched.traced.length >= 10, `only ${watched.traced.length} full GCs`)
      assert.ok(watched.scavenges >= 5, `only ${watched.scavenges} scavenges`)

      // Between two runs without a watch the count already moves by one.
      const extra = watched.traced.length - unwatched.traced.length
      assert.ok(extra <= 1, `${unwatched.traced.length} full GCs unwatched, ${watched.traced.length} watched`)
      assert.ok(watched.readings.length <= watched.traced.length)
      assert.ok(watched.readings.length >= watched.traced.length - 2, `${watched.readings.length} readings`)
      for (const usedBytes of watched.readings) {
        const errors = watched.traced.map((tracedBytes) => Math.abs(tracedBytes - usedBytes))
        assert.ok(Math.min(...errors) < 1 * MB, `${usedBytes} is not the heap after a GC`)
      }
    })

    test('an idle process under the default flags stays free of GCs (nodejs/node#62721)', async () => {
      const { readings, tracedIdle } = await collections(engine, 'watched', [], 1500)
      assert.ok(readings.length >= 1)
      // The loop of that issue was one every 5 ms. V8's memory reducer may add two of its own.
      assert.ok(tracedIdle <= 3, `${tracedIdle} full GCs while idle`)
    })
  })
}
