import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { Dump } from '../../../dist/dispatch/events.js'
import { missing, packagesDirectory } from '../engines/program'
import { artefacts, files, places, sidecarOf, startApp } from '../monitor/app'
import { instances } from '../monitor/profiles'
import { untilForked } from './forked-child'
import { whyNoHelper } from './native/forking-server'

const options = { memory: { threshold: '20gb' } }
/** Above what an empty Node has: tens of thousands of objects. */
const HEAP_MB = '12'

describe('a forked snapshot', { skip: whyNoHelper(), concurrency: 1 }, () => {
  for (const { watchdog, place } of places) {
    test(`has the leaked class with its count, from an application under load, ${place}`, async (t) => {
      const app = startApp(t, 'forking.js', { ...options, watchdog }, { env: { HEAP_MB } })
      const leaked = await app.order<number>('leak')
      await app.order('load')
      const dump = await app.order<Dump>('dumpMemory')
      assert.equal(dump.way, 'fork', JSON.stringify(dump))
      assert.equal(instances(dump.file, 'LeakedThing'), leaked)
      assert.deepEqual(
        dump.files.map((file) => file.replace(/.*\./, '')),
        ['heapsnapshot', 'heapprofile'],
      )
      assert.ok(Number(dump.childPeakBytes) > 50e6)
      const { how } = sidecarOf(dump.file)
      assert.deepEqual([how.way, how.passedOver.some(({ way }) => way === 'fork')], ['fork', false])
      // Only the application knows it, and the child wrote it.
      assert.equal(how.pauseMs, dump.pauseMs)
      assert.deepEqual([files(app, '.partial'), app.said('failure'), app.said('skip')], [[], [], []])
    })
  }

  test('reports the private memory of the child, not what it shares with the application', async (t) => {
    const app = startApp(t, 'forking.js', options, { env: { TOUCHED_MB: '150' } })
    await app.until('port')
    assert.ok((await app.order<number>('rss')) > 150e6)
    const dump = await app.order<Dump>('dumpMemory')
    assert.equal(dump.way, 'fork', JSON.stringify(dump))
    const peakBytes = Number(dump.childPeakBytes)
    assert.ok(peakBytes > 5e6 && peakBytes < 100e6, String(peakBytes))
    assert.equal(sidecarOf(dump.file).how.notes?.['childPeakBytes'], peakBytes)
  })

  for (const name of ['memwatch-next', 'heapdump', 'v8-profiler-next']) {
    test(`is forked too with ${name} in the process`, { skip: missing(name) }, async (t) => {
      const env = { HEAP_MB, NODE_PATH: join(packagesDirectory ?? '', 'node_modules') }
      const app = startApp(t, 'forking.js', options, { env, execArgv: ['--require', name] })
      const leaked = await app.order<number>('leak')
      const dump = await app.order<Dump>('dumpMemory')
      assert.equal(dump.way, 'fork', JSON.stringify(dump))
      assert.equal(instances(dump.file, 'LeakedThing'), leaked)
    })
  }

  test('comes out of a main thread that spins', async (t) => {
    // Trips a second after the start: the main thread spins by then.
    const memory = { threshold: 1, interval: 250, counter: 4, limiter: [1, 'hour'] }
    const app = startApp(t, 'forking.js', { memory }, { env: { HEAP_MB } })
    const leaked = await app.order<number>('leak')
    const spinning = app.order('spin', 6000)
    let isSpinning = true
    void spinning.then(
      () => (isSpinning = false),
      () => {},
    )
    await untilForked(app)
    assert.ok(isSpinning)
    const [dump] = await Promise.all([app.until('dump'), spinning])
    assert.equal(dump.way, 'fork')
    assert.equal(instances(dump.file, 'LeakedThing'), leaked)
  })

  test('leaves the application free to serve and to start programs meanwhile', async (t) => {
    const app = startApp(t, 'forking.js', options, { env: { HEAP_MB } })
    await app.order('leak')
    const { port } = (await app.until('port')) as { port: number }
    const dumping = app.order<Dump>('dumpMemory')
    await untilForked(app)
    assert.equal(await app.order('run', 'true'), 'ran')
    assert.equal(await (await fetch(`http://127.0.0.1:${port}`)).text(), 'served')
    assert.deepEqual(
      artefacts(app, 'manual-memory').filter((name) => name.endsWith('snapshot')),
      [],
    )
    assert.equal((await dumping).way, 'fork')
    assert.equal(await app.order('run', 'true'), 'ran')
  })

  test('is passed over where addons are forbidden: in place, with the reason in both places', async (t) => {
    const app = startApp(t, 'forking.js', { ...options, engine: 'builtin' }, { execArgv: ['--no-addons'] })
    const { text } = await app.until('line', (line) => line.text.startsWith('watching'))
    assert.match(text, /by v8, sampling.*not used:.* fork \(Cannot load native addon/)
    const dump = await app.order<Dump>('dumpMemory')
    assert.equal(dump.way, 'v8')
    assert.match(dump.passedOver.find(({ way }) => way === 'fork')?.why ?? '', /Cannot load native addon/)
    assert.deepEqual(sidecarOf(dump.file).how.passedOver[0]?.way, 'fork')
  })
})
