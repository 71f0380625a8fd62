import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { artefacts, files, places, sidecarOf, startApp } from './app'
import { longestRow } from './longest-row'
import { instances } from './profiles'

const MB = 1024 * 1024
/** The program alone stays well below it, with its ballast well above. */
const THRESHOLD = 250 * MB
const BALLAST_MB = 300
const execArgv = ['--expose-gc']

describe('memory use', { concurrency: true }, () => {
  for (const { watchdog, place } of places) {
    test(`above the threshold makes one whole snapshot with the leaked class, ${place}`, async (t) => {
      const app = startApp(
        t,
        'leak.js',
        { memory: { interval: 200, threshold: '250mb', counter: 3, limiter: [1, 'hour'] }, watchdog },
        { execArgv },
      )
      await app.until('line', ({ text }) => text.startsWith('watching'))
      await app.order('hold', BALLAST_MB)
      const dump = await app.until('dump')
      assert.deepEqual([dump.kind, dump.rule], ['memory', 'threshold'])
      assert.match(dump.file, new RegExp(`^${app.directory}/memory-${app.pid}-\\d{13}\\.heapsnapshot$`))
      assert.equal(instances(dump.file, 'LeakedThing'), 1234)
      const { why } = sidecarOf(dump.file)
      assert.deepEqual(why.details['threshold'], THRESHOLD)
      assert.ok(why.readings.slice(-3).every(({ value }) => value > THRESHOLD))

      await app.until('skip', ({ reason }) => reason === 'limited')
      assert.equal(artefacts(app).filter((name) => name.endsWith('.heapsnapshot')).length, 1)
      assert.deepEqual(files(app, '.partial'), [])
      assert.deepEqual(app.said('failure'), [])
    })

    test(`above the threshold counter - 1 times in a row makes none, ${place}`, async (t) => {
      const [interval, counter] = [300, 4]
      // Which readings fall into the time of the ballast is the machine's to decide: take the first time that fits.
      for (let attempt = 1; attempt <= 10; attempt++) {
        const app = startApp(
          t,
          'leak.js',
          { memory: { interval, threshold: '250mb', counter, limiter: [1, 'hour'] }, watchdog },
          { execArgv },
        )
        await app.until('line', ({ text }) => text.startsWith('watching'))
        await app.order('hold', BALLAST_MB)
        await sleep((counter - 1) * interval - 100)
        await app.order('hold', 0)
        await sleep(counter * interval)
        const { file } = await app.order<{ file: string }>('dumpMemory')
        const inARow = longestRow(sidecarOf(file).why.readings.map(({ value }) => value > THRESHOLD))
        assert.equal(
          app.said('dump').filter(({ rule }) => rule === 'threshold').length,
          inARow >= counter ? 1 : 0,
        )
        if (inARow !== counter - 1) continue
        assert.deepEqual(artefacts(app, 'memory-'), [])
        assert.deepEqual(app.said('skip'), [])
        return
      }
      assert.fail('the ballast never met counter - 1 readings in a row')
    })
  }
})
