import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Dump, DumpResult } from '../../../dist/dispatch/events.js'
import { artefacts, files, places, sidecarOf, startApp } from './app'

const both = { cpu: { threshold: 100_000 }, memory: { threshold: '1000gb' } }

describe('by hand', { concurrency: 2 }, () => {
  for (const { watchdog, place } of places) {
    for (const [keys, options] of [
      ['both keys', both],
      ['no key', {}],
    ] as const) {
      test(`a dump of each kind resolves to what was made, with ${keys}, ${place}`, async (t) => {
        const app = startApp(t, 'by-hand.js', { ...options, watchdog })
        const profile = await app.order<Dump>('dumpCpu', 100)
        assert.deepEqual([profile.kind, profile.rule], ['cpu', 'manual'])
        assert.match(
          profile.file,
          new RegExp(`^${app.directory}/manual-cpu-${app.pid}-\\d{13}\\.cpuprofile$`),
        )
        assert.ok(profile.durationMs >= 100)
        const snapshot = await app.order<Dump>('dumpMemory')
        assert.match(snapshot.file, new RegExp(`/manual-memory-${app.pid}-\\d{13}\\.heapsnapshot$`))
        assert.deepEqual(app.said('dump'), [profile, snapshot])
        assert.deepEqual(sidecarOf(snapshot.file).why.details, { askedBy: 'api' })
        // Every artefact has a sidecar, and nothing else lies there.
        assert.equal(files(app).length, 2 * artefacts(app).length)
      })
    }

    test(`dumps queue, and those of one kind coalesce while one waits, ${place}`, async (t) => {
      const app = startApp(t, 'by-hand.js', { ...both, watchdog })
      const [cpu, memory, twin] = await app.order<Dump[]>('threeAtOnce')
      assert.deepEqual([cpu?.kind, memory?.kind], ['cpu', 'memory'])
      assert.deepEqual(memory, twin)
      assert.equal(app.said('dump').length, 2)
    })

    test(`the limiter does not hold for them, ${place}`, async (t) => {
      const none = { limiter: [0, 'day'] }
      const options = { cpu: { ...both.cpu, ...none }, memory: { ...both.memory, ...none }, watchdog }
      const app = startApp(t, 'by-hand.js', options)
      assert.ok('file' in (await app.order<DumpResult>('dumpCpu', 10)))
      assert.ok('file' in (await app.order<DumpResult>('dumpCpu', 10)))
    })

    test(`a duration that is none resolves to a failure and makes nothing, ${place}`, async (t) => {
      const app = startApp(t, 'by-hand.js', { ...both, watchdog })
      for (const nonsense of ['0', '-1', '1.5', 'NaN', 'Infinity', '2147483648']) {
        const result = await app.order<DumpResult>('dumpNonsense', nonsense)
        assert.ok('skipped' in result && result.skipped === 'failed')
        assert.match(result.message, new RegExp(`durationMs .* received ${nonsense}$`))
      }
      assert.deepEqual(artefacts(app), [])
    })

    test(`after stop() dumps resolve to stopped, and stop() to nothing, ${place}`, async (t) => {
      const app = startApp(t, 'by-hand.js', { ...both, watchdog })
      await app.order('stopTwice')
      assert.deepEqual(await app.order('dumpCpu', 10), { skipped: 'stopped' })
      assert.deepEqual(await app.order('dumpMemory'), { skipped: 'stopped' })
      await app.order('stop')
      assert.deepEqual(files(app), [])
    })
  }

  for (const { watchdog, place } of places) {
    const verdict = watchdog ? 'while it blocks' : 'only after it has blocked'
    test(`a snapshot asked for by a caller that blocks in the same breath is made ${verdict}, watched ${place}`, async (t) => {
      const app = startApp(t, 'by-hand.js', { ...both, watchdog })
      await app.until('line', ({ text }) => text.startsWith('watching'))
      await app.order('rest')
      assert.equal(await app.order('dumpMemoryAndBlock', watchdog ? 30_000 : 1000), watchdog)
      await app.until('dump')
      assert.equal(artefacts(app).filter((name) => name.endsWith('.heapsnapshot')).length, 1)
    })
  }
})
