import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { artefacts, places, startApp } from './app'

describe('what stands on stdout and stderr', { concurrency: 2 }, () => {
  for (const { watchdog, place } of places) {
    for (const how of ['plain', 'console patched']) {
      test(`is by default one line per event on stderr, ${how}, ${place}`, async (t) => {
        const app = startApp(t, 'speaks.js', { watchdog }, { takesOrders: false, args: [how] })
        assert.deepEqual(await app.ended, { code: 0, signal: null })
        const [start, dump, ...more] = app.stderr().split('\n')
        assert.match(start ?? '', /^cpu-memory-monitor: watching SIGUSR2 \(a heap snapshot to /)
        assert.match(dump ?? '', /^cpu-memory-monitor: manual cpu dump: .*\.cpuprofile \(.*\); CPU /)
        assert.deepEqual([more, app.stdout()], [[''], ''])
      })
    }

    test(`is nothing at all with logger false, ${place}`, async (t) => {
      const settings = { takesOrders: false }
      const app = startApp(t, 'speaks.js', { logger: false, watchdog }, settings)
      assert.deepEqual(await app.ended, { code: 0, signal: null })
      assert.deepEqual([app.stderr(), app.stdout(), artefacts(app).length], ['', '', 1])
    })

    test(`does not matter: a closed stderr changes nothing, ${place}`, async (t) => {
      const settings = { takesOrders: false, closesStderr: true }
      const app = startApp(t, 'speaks.js', { watchdog }, settings)
      assert.deepEqual(await app.ended, { code: 0, signal: null })
      assert.equal(artefacts(app).length, 1)
    })
  }
})
