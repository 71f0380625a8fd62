import assert from 'node:assert/strict'
import { realpathSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { type App, artefacts, files, places, sidecarOf, startApp } from './app'
import { instances } from './profiles'

const skip = process.platform === 'win32' && 'there is no SIGUSR2'
const snapshots = (app: App) => artefacts(app).filter((name) => name.endsWith('.heapsnapshot'))
const isWatching = ({ text }: { text: string }) => text.startsWith('watching')

describe('the manual signal', { concurrency: 2, skip }, () => {
  for (const { watchdog, place } of places) {
    for (const [keys, options] of [
      ['other options', { cpu: { threshold: 100_000 }, memory: { threshold: '1000gb' } }],
      ['no options', {}],
    ] as const) {
      test(`makes one heap snapshot, with ${keys}, ${place}`, async (t) => {
        const app = startApp(t, 'leak.js', { ...options, watchdog }, { execArgv: ['--expose-gc'] })
        await app.until('line', isWatching)
        app.kill('SIGUSR2')
        const dump = await app.until('dump')
        assert.deepEqual([dump.kind, dump.rule], ['memory', 'manual'])
        const name = new RegExp(
          `^${realpathSync(app.directory)}/manual-memory-${app.pid}-\\d{13}\\.heapsnapshot$`,
        )
        assert.match(dump.file, name)
        assert.equal(instances(dump.file, 'LeakedThing'), 1234)
        assert.deepEqual(sidecarOf(dump.file).why.details, { askedBy: 'SIGUSR2' })
        // A dump by hand would wait behind another one of the signal's.
        await app.order('dumpMemory')
        assert.equal(snapshots(app).length, 2)
        assert.deepEqual(app.said('skip'), [])
      })
    }

    test(`may be another one, and then SIGUSR2 has its default effect, ${place}`, async (t) => {
      const app = startApp(t, 'by-hand.js', { signal: 'SIGHUP', watchdog })
      await app.until('line', isWatching)
      app.kill('SIGHUP')
      const { file } = await app.until('dump')
      assert.deepEqual(sidecarOf(file).why.details, { askedBy: 'SIGHUP' })
      app.kill('SIGUSR2')
      assert.deepEqual(await app.ended, { code: null, signal: 'SIGUSR2' })
    })

    test(`false leaves the default effect, ${place}`, async (t) => {
      const app = startApp(t, 'by-hand.js', { signal: false, watchdog })
      await app.until('line', isWatching)
      app.kill('SIGUSR2')
      assert.deepEqual(await app.ended, { code: null, signal: 'SIGUSR2' })
      assert.deepEqual(files(app), [])
    })

    test(`has its default effect after stop(), ${place}`, async (t) => {
      const app = startApp(t, 'by-hand.js', { watchdog })
      await app.until('line', isWatching)
      await app.order('stop')
      app.kill('SIGUSR2')
      assert.deepEqual(await app.ended, { code: null, signal: 'SIGUSR2' })
      assert.deepEqual(files(app), [])
    })

    test(`has no effect while stop() waits for a dump, ${place}`, async (t) => {
      const app = startApp(t, 'by-hand.js', { watchdog })
      await app.until('line', isWatching)
      const outcome = await app.order('signalDuringStop', 'SIGUSR2')
      assert.deepEqual(outcome, { arrivedInTime: true, listeners: 0 })
      assert.equal(snapshots(app).length, 1, 'the one that stop() waited for')
      assert.deepEqual([app.said('skip'), app.said('failure')], [[], []])
    })

    test(`is left to another listener as long as there is one, which is said once, ${place}`, async (t) => {
      const app = startApp(t, 'by-hand.js', { watchdog })
      await app.until('line', isWatching)
      await app.order('listen', 'SIGUSR2')
      for (const times of [1, 2]) {
        app.kill('SIGUSR2')
        await app.until('foreign', undefined, times)
      }
      await app.order('unlisten', 'SIGUSR2')
      app.kill('SIGUSR2')
      await app.until('dump')
      assert.equal(snapshots(app).length, 1)
      const aside = app.said('line').filter(({ text }) => text.includes('another listener'))
      assert.deepEqual(
        aside.map(({ level, text }) => [level, text]),
        [
          [
            'warn',
            'SIGUSR2 has another listener in this process, so the signal triggers no dump of this monitor',
          ],
        ],
      )
    })

    test(`during a dump waits, and several make one, ${place}`, async (t) => {
      const app = startApp(t, 'by-hand.js', { watchdog })
      await app.until('line', isWatching)
      const profiling = app.order('dumpCpu', 2000)
      await app.order('rest')
      for (let times = 0; times < 3; times++) {
        app.kill('SIGUSR2')
        await app.order('rest')
      }
      assert.deepEqual(app.said('dump'), [], 'the profile was over before the signals came')
      await profiling
      await app.until('dump', ({ kind }) => kind === 'memory')
      await app.order('dumpCpu', 10)
      assert.deepEqual(
        app.said('dump').map(({ kind }) => kind),
        ['cpu', 'memory', 'cpu'],
      )
      assert.equal(snapshots(app).length, 1)
    })
  }

  const packages = process.env['CMM_TEST_PACKAGES']
  const skipped = packages === undefined && 'CMM_TEST_PACKAGES does not say where heapdump is'
  for (const order of ['before', 'after'] as const) {
    test(
      `makes one file when the application has loaded heapdump ${order} the monitor`,
      { skip: skipped },
      async (t) => {
        const heapdump = join(packages ?? '', 'node_modules', 'heapdump')
        const app = startApp(t, 'with-heapdump.js', {}, { args: [heapdump, order] })
        await app.until('line', isWatching)
        app.kill('SIGUSR2')
        await app.order('rest')
        await app.order('dumpCpu', 10)
        assert.equal(
          files(app).filter((name) => name.endsWith('.heapsnapshot')).length,
          1,
          files(app).join(', '),
        )
      },
    )
  }
})
