import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type cpuMemoryMonitor from '../../../dist/index.js'
import { places, startApp } from './app'

interface Seen {
  readonly reading: cpuMemoryMonitor.Reading
  readonly before: cpuMemoryMonitor.MonitorStats
  readonly unchanged: cpuMemoryMonitor.MonitorStats
  readonly after: cpuMemoryMonitor.MonitorStats
  readonly queue: cpuMemoryMonitor.RuleStats
  readonly refused: readonly string[]
  readonly dump: string
  readonly hooked: readonly string[]
  readonly published: readonly (readonly [string, string])[]
}

describe('a running monitor', { concurrency: 1 }, () => {
  for (const { watchdog, place } of places) {
    test(`is looked at and changed, watched ${place}`, async (t) => {
      const memory = { threshold: '900gb', counter: 2, interval: 50, sampling: false, limiter: [1, 'day'] }
      const app = startApp(
        t,
        'live.js',
        { memory, watchdog, signal: false, logger: false },
        { takesOrders: false },
      )
      assert.deepEqual(await app.ended, { code: 0, signal: null }, app.stderr())
      const seen = JSON.parse(app.stdout()) as Seen
      const { before, unchanged, after } = seen

      assert.deepEqual([seen.reading.rule, seen.reading.threshold], ['memory', 900 * 1024 ** 3])
      assert.ok(seen.reading.value > 1e6)
      assert.deepEqual(Object.keys(before.rules), ['memory', 'queue'])
      assert.ok((before.rules.memory?.readings ?? 0) > 0)
      assert.deepEqual(before.rules.memory?.budget, { tokensPerInterval: 1, intervalMs: 86_400_000, left: 1 })
      assert.deepEqual(before.dumps, { cpu: 0, memory: 0 })
      assert.ok(before.ways?.memory.includes('v8'))

      assert.deepEqual(
        seen.refused.map((text) => text.split(' ').slice(0, 2).join(' ')),
        [
          'RangeError: options.memory.threshold',
          'TypeError: options.memory.interval',
          'Error: cpu',
          'TypeError: update.keep',
          'RangeError: update.rules[0].name',
        ],
      )
      assert.equal(unchanged.rules.memory?.threshold, before.rules.memory?.threshold)
      assert.equal(unchanged.rules.memory?.counter, 2)

      assert.equal(before.rules['queue']?.threshold, 100)
      assert.deepEqual([seen.queue.threshold, seen.queue.counter], [1, 1000])
      assert.equal(after.rules['queue']?.threshold, 100)

      assert.deepEqual(after.dumps, { cpu: 0, memory: 1 })
      assert.equal(after.rules.memory?.threshold, 1)
      assert.ok((after.rules.memory?.readings ?? 0) > (before.rules.memory?.readings ?? 0))
      // One of four is spent: what was spent before the change is spent after it.
      assert.deepEqual(after.rules.memory?.budget, { tokensPerInterval: 4, intervalMs: 86_400_000, left: 3 })
      // stop() has waited for the hook.
      assert.deepEqual(seen.hooked, [seen.dump])
      assert.deepEqual(seen.published, [['cpu-memory-monitor:dump', seen.dump]])
    })
  }
})
