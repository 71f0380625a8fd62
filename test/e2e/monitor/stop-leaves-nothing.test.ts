import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { artefacts, files, places, startApp } from './app'

const options = { cpu: { interval: 20, threshold: 100_000 }, memory: { interval: 20, threshold: '1000gb' } }
/** A hundred rounds are an acceptance run: `npm run accept hundred-rounds`. */
const ROUNDS = ['1', '2', '20']

describe('stop()', { concurrency: 2, skip: process.platform !== 'linux' && 'counts by /proc' }, () => {
  for (const { watchdog, place } of places) {
    for (const rounds of ROUNDS) {
      test(`after ${rounds} rounds leaves threads, descriptors, listeners, signals and timers as they were, ${place}`, async (t) => {
        const settings = { takesOrders: false, args: [rounds] }
        const app = startApp(t, 'rounds.js', { ...options, watchdog }, settings)
        assert.deepEqual(await app.until('after'), await app.until('before'))
        assert.deepEqual(await app.ended, { code: 0, signal: null })
        assert.deepEqual([app.said('line'), app.stderr(), artefacts(app)], [[], '', []])
      })
    }

    test(`after dumps of both kinds leaves as little, ${place}`, async (t) => {
      const settings = { takesOrders: false, args: ['1', 'dumping'] }
      const app = startApp(t, 'rounds.js', { ...options, watchdog }, settings)
      assert.deepEqual(await app.until('after'), await app.until('before'))
      assert.deepEqual(await app.ended, { code: 0, signal: null })
      assert.deepEqual(app.said('line'), [])
      assert.deepEqual([artefacts(app, 'manual-cpu-').length, files(app, '.partial')], [1, []])
      assert.ok(artefacts(app, 'manual-memory-').some((name) => name.endsWith('.heapsnapshot')))
    })
  }
})
