import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { SETTLING_MS } from '../../../dist/dispatch/gate.js'
import { type App, artefacts, places, sidecarOf, startApp } from './app'

/** One tick of the kernel's clock in a reading is a breach: a starved machine may give the program no more. */
const cpu = { interval: 200, duration: 300, threshold: 1, counter: 2, limiter: [2, 'hour'] }
/** Every process is larger. */
const memory = { interval: 200, threshold: 1, counter: 2, limiter: [2, 'hour'], sampling: false }

describe('permanent overload', { concurrency: 2 }, () => {
  for (const { watchdog, place } of places) {
    test(`of the CPU with a budget of two makes two dumps and one skip, ${place}`, async (t) => {
      const app = startApp(t, 'burn.js', { cpu, watchdog })
      await app.until('skip', ({ reason }) => reason === 'limited')
      await manyMoreBreaches(app)
      assert.deepEqual(app.said('dump').filter(({ rule }) => rule === 'threshold').length, 2)
      assert.deepEqual(
        app.said('skip').map(({ kind, reason }) => [kind, reason]),
        [['cpu', 'limited']],
      )
      assert.equal(artefacts(app, 'cpu-').length, 2)
    })

    test(`that pauses begins a new episode, which says once more that the budget is spent, ${place}`, async (t) => {
      const app = startApp(t, 'burn.js', { cpu: { ...cpu, limiter: [0, 'hour'] }, watchdog })
      await app.until('skip')
      await app.order('burn', false)
      await app.until('line', ({ text }) => text.startsWith('cpu is back at or below'))
      assert.equal(app.said('skip').length, 1)
      await app.order('burn', true)
      await app.until('skip', undefined, 2)
      assert.deepEqual(artefacts(app), [])
    })

    test(`of both spends two budgets, not one, and one dump at a time, ${place}`, async (t) => {
      const app = startApp(t, 'burn.js', {
        ...{ cpu: { ...cpu, limiter: [1, 'hour'] }, memory: { ...memory, limiter: [1, 'hour'] } },
        watchdog,
      })
      const both = (name: 'dump' | 'skip') => [
        app.until(name, (each) => each.kind === 'cpu' && reasonOf(each) !== 'busy'),
        app.until(name, (each) => each.kind === 'memory' && reasonOf(each) !== 'busy'),
      ]
      await Promise.all([...both('dump'), ...both('skip')])
      assert.deepEqual([artefacts(app, 'cpu-').length, artefacts(app, 'memory-').length], [1, 1])
      const [first, second] = app
        .said('dump')
        .map(({ file, durationMs }) => ({ startMs: Date.parse(sidecarOf(file).where.startedAt), durationMs }))
      assert.ok(first && second && first.startMs + first.durationMs <= second.startMs + 1)
    })
  }
})

/** Lets the overload go on until breaches for two more trips have been read, while no dump ran or settled. */
async function manyMoreBreaches(app: App): Promise<void> {
  for (;;) {
    const fromMs = Date.now()
    await sleep(1500)
    const { file } = await app.order<{ file: string }>('dumpCpu', 1)
    const { readings } = sidecarOf(file).why
    const breaches = readings.filter(({ at, value }) => Date.parse(at) > fromMs && value > cpu.threshold)
    if (breaches.length >= 2 * cpu.counter) return
    await sleep(SETTLING_MS)
  }
}

function reasonOf(event: object): unknown {
  return 'reason' in event ? event.reason : undefined
}
