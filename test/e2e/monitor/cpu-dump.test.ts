import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { artefacts, files, places, sidecarOf, startApp } from './app'
import { longestRow } from './longest-row'
import { selfShare } from './profiles'

/** Low enough for a burning process on a machine that is busy with other things. Percent of one core. */
const THRESHOLD = 5

describe('CPU use', { concurrency: true }, () => {
  for (const { watchdog, place } of places) {
    test(`above the threshold makes one whole profile that names the hot function, ${place}`, async (t) => {
      const app = startApp(t, 'burn.js', {
        // Long enough for a busy machine, on which it takes a while until a name has to be looked for.
        cpu: { interval: 300, duration: 5000, threshold: THRESHOLD, counter: 3, limiter: [1, 'hour'] },
        watchdog,
      })
      const dump = await app.until('dump')
      assert.deepEqual([dump.kind, dump.rule], ['cpu', 'threshold'])
      assert.match(dump.file, new RegExp(`^${app.directory}/cpu-${app.pid}-\\d{13}\\.cpuprofile$`))
      assert.ok(selfShare(dump.file, 'hotFunction') > 0.5, 'the profile does not name the hot function')

      const { why, how, where } = sidecarOf(dump.file)
      assert.deepEqual(why.details['threshold'], THRESHOLD)
      assert.ok(why.readings.length >= 3)
      assert.ok(why.readings.slice(-3).every(({ value }) => value > THRESHOLD))
      assert.equal(how.sizeBytes, dump.sizeBytes)
      assert.equal(where.pid, app.pid)

      // The overload goes on; the one dump of the hour is spent.
      await app.until('skip', ({ reason }) => reason === 'limited')
      assert.equal(artefacts(app).length, 1)
      assert.deepEqual(files(app, '.partial'), [])
      assert.deepEqual(app.said('failure'), [])
    })

    test(`above the threshold counter - 1 times in a row makes none, ${place}`, async (t) => {
      const counter = 4
      // Which readings a burst falls into is the machine's to decide: take the first burst that made exactly counter - 1.
      let burstMs = (counter - 1) * 400 - 100
      for (let burst = 1; burst <= 12; burst++) {
        const app = startApp(t, 'burst.js', {
          cpu: { interval: 400, duration: 200, threshold: 20, counter, limiter: [1, 'hour'] },
          watchdog,
        })
        await app.until('line', ({ text }) => text.startsWith('watching'))
        const { file } = await app.order<{ file: string }>('burst', burstMs)
        const inARow = longestRow(sidecarOf(file).why.readings.map(({ value }) => value > 20))
        assert.equal(
          app.said('dump').filter(({ rule }) => rule === 'threshold').length,
          inARow >= counter ? 1 : 0,
        )
        burstMs += inARow < counter - 1 ? 150 : -100
        if (inARow !== counter - 1) continue
        assert.deepEqual(artefacts(app, 'cpu-'), [])
        assert.deepEqual(app.said('skip'), [])
        return
      }
      assert.fail('no burst fell into counter - 1 readings in a row')
    })
  }
})
