import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lines } from '../../../src/monitor/lines.js'

test('a dump names its files, way, size and times', () => {
  const line = lines.dump({
    ...{ kind: 'memory', rule: 'leak', file: '/d/a', files: ['/d/a', '/d/b'], sizeBytes: 3 * 1024 * 1024 },
    ...{ way: 'v8', passedOver: [], pauseMs: 12.4, durationMs: 99.6 },
  })
  assert.equal(line, 'leak memory dump: /d/a, /d/b (v8, 3MB, pause 12 ms, took 100 ms)')
})

test('a skip names its reason, and the numbers if there are any', () => {
  const skip = { kind: 'memory', rule: 'threshold', reason: 'disk' } as const
  const numbers = { estimateBytes: 5, freeBytes: 3 }
  assert.equal(
    lines.skip({ ...skip, numbers }),
    'threshold memory dump skipped: disk (estimateBytes 5, freeBytes 3)',
  )
  assert.equal(lines.skip({ ...skip, numbers: {} }), 'threshold memory dump skipped: disk')
})

test('a leak names growth, span and reason', () => {
  const leak = { start: new Date(0), end: new Date(1000), growth: 2048, reason: 'it climbs' }
  const span = '1970-01-01T00:00:00.000Z to 1970-01-01T00:00:01.000Z'
  assert.equal(lines.leak(leak), `leak suspected: heap grew by 2KB from ${span}: it climbs`)
})

test('a failure names its stage, and the kind if there is one', () => {
  assert.equal(lines.failure({ stage: 'sampling', kind: 'cpu', message: 'x' }), 'cpu sampling failed: x')
  assert.equal(lines.failure({ stage: 'stop', message: 'x' }), 'stop failed: x')
})
