import assert from 'node:assert/strict'
import { describe, test, type TestContext } from 'node:test'
import { type App, places, startApp } from './app'

const options = { cpu: { threshold: 100_000, interval: 100 }, memory: { threshold: '1000gb', interval: 100 } }
const MADE = ['made', 'made']

/** Each was found to lose dumps, to make `dumpMemory()` throw, or to close the gate for ever. */
const POLLUTED = [
  'skip',
  'failed',
  'told',
  'signal',
  'limitBytes',
  'cannot',
  'early',
  'reading',
  'file',
  'refusal',
]

async function startHostile(t: TestContext, watchdog: boolean): Promise<App> {
  const app = startApp(t, 'hostile-globals.js', { ...options, watchdog })
  await app.until('line', ({ text }) => text.startsWith('watching'))
  return app
}

async function endsInOrder(app: App): Promise<void> {
  await app.order('stop')
  app.order('end').catch(() => undefined)
  assert.deepEqual(await app.ended, { code: 0, signal: null })
  assert.equal(app.stderr(), '')
}

describe('dumps are made, and the host lives,', { concurrency: 3 }, () => {
  for (const { watchdog, place } of places) {
    test(`when a property of any object seems to be there, watched ${place}`, async (t) => {
      const app = await startHostile(t, watchdog)
      for (const name of POLLUTED) assert.deepEqual(await app.order('pollute', name), MADE, name)
      assert.deepEqual(await app.order('dumpBoth'), MADE, 'the gate is open')
      assert.deepEqual([app.said('failure'), app.said('skip')], [[], []])
      await endsInOrder(app)
    })

    test(`when the application has deleted globals, watched ${place}`, async (t) => {
      const app = await startHostile(t, watchdog)
      const lost = [
        'Atomics',
        'AbortController',
        'JSON',
        'SharedArrayBuffer',
        ...(watchdog ? ['Promise'] : []),
      ]
      assert.deepEqual(await app.order('lose', lost), MADE)
      assert.deepEqual([app.said('failure'), app.said('skip')], [[], []])
      await endsInOrder(app)
    })

    test(`when globalThis is frozen, watched ${place}`, async (t) => {
      const app = await startHostile(t, watchdog)
      assert.deepEqual(await app.order('freeze'), MADE)
      assert.deepEqual([app.said('failure'), app.said('skip')], [[], []])
      await endsInOrder(app)
    })
  }
})
