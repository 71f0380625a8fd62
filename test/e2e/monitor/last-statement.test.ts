import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { artefacts, files, places, startApp } from './app'

const both = { cpu: { threshold: 100_000 }, memory: { threshold: '1000gb' }, logger: false }
const takesNothing = { takesOrders: false, lifetimeMs: 60_000 }

describe('an ES module that awaits the monitor last ends with code 0', { concurrency: 2 }, () => {
  for (const { watchdog, place } of places) {
    for (const [keys, options] of [
      ['both keys', both],
      ['no key', { logger: false }],
    ] as const) {
      for (const [what, files] of [
        ['stop', 0],
        ['dumpMemory', 1],
        ['dumpCpu', 1],
        ['dump after stop', 0],
      ] as const) {
        test(`${what}, ${keys}, watched ${place}`, async (t) => {
          const settings = { ...takesNothing, args: [what] }
          const app = startApp(t, 'last-statement.mjs', { ...options, watchdog }, settings)
          assert.deepEqual(await app.ended, { code: 0, signal: null }, app.stderr())
          assert.equal(app.said('done').length, 1)
          assert.equal(
            artefacts(app, 'manual-').filter((name) => !name.endsWith('.heapprofile')).length,
            files,
          )
          assert.equal(app.stderr(), '')
        })
      }
    }

    test(`stop() ends a profile that is being recorded, whole, ${place}`, async (t) => {
      const settings = { ...takesNothing, args: ['stop while dumping'] }
      const app = startApp(t, 'last-statement.mjs', { ...both, watchdog }, settings)
      assert.deepEqual(await app.ended, { code: 0, signal: null }, app.stderr())
      assert.equal(app.said('done').length, 1)
      assert.deepEqual(files(app, '.partial'), [])
    })
  }
})
