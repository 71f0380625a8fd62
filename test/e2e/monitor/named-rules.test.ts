import assert from 'node:assert/strict'
import { basename } from 'node:path'
import { describe, test } from 'node:test'
import { artefacts, places, sidecarOf, startApp } from './app'

describe('rules with names of their own', { concurrency: 1 }, () => {
  for (const { watchdog, place } of places)
    test(`dump what they ask for under their names, and one at its threshold does not, watched ${place}`, async (t) => {
      const options = {
        cpu: { threshold: 100_000, duration: 300, blocked: false },
        memory: { threshold: '900gb', sampling: false },
      }
      const app = startApp(t, 'named-rules.js', { ...options, watchdog, signal: false })
      const ofRule = (name: string) => app.until('dump', ({ rule }) => rule === name)
      const [queue, orders, heap] = await Promise.all(['queue', 'orders', 'heap-high'].map(ofRule))

      assert.match(basename(queue?.file ?? ''), /^queue-cpu-\d+-\d+\.cpuprofile$/)
      assert.match(basename(orders?.file ?? ''), /^orders-memory-\d+-\d+\.heapsnapshot$/)
      assert.match(basename(heap?.file ?? ''), /^heap-high-memory-\d+-\d+\.heapsnapshot$/)

      const { why } = sidecarOf(queue?.file ?? '')
      assert.deepEqual([why.kind, why.rule], ['cpu', 'queue'])
      assert.deepEqual(why.details, { threshold: 1000, counter: 2, reading: 1500, metric: 'function' })
      assert.ok(why.readings.length >= 2 && why.readings.every(({ value }) => value === 1500))

      await app.until('line', ({ text }) => text.startsWith('queue cpu dump: '))
      assert.deepEqual(artefacts(app, 'calm'), [])
      assert.deepEqual(
        app.said('failure').map(({ rule, stage }) => [rule, stage]),
        [['broken', 'sampling']],
      )
    })
})
