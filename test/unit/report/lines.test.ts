import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { lines } from '../../../src/report/lines.js'

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
  assert.equal(lines.skip({ ...skip, numbers }), 'threshold memory dump skipped: disk (estimate 5B, free 3B)')
  assert.equal(lines.skip({ ...skip, numbers: {} }), 'threshold memory dump skipped: disk')
})

describe('a leak', () => {
  const leak = { start: new Date(0), end: new Date(1000), growth: 2048, reason: 'it climbs', sites: [] }
  const span = '1970-01-01T00:00:00.000Z to 1970-01-01T00:00:01.000Z'

  test('names growth, span and reason', () => {
    assert.equal(lines.leak(leak), `leak suspected: heap grew by 2KB from ${span}: it climbs`)
  })

  test('names the first site with its growth', () => {
    const sites = [
      { functionName: 'remember', url: 'file:///app.js', line: 7, growth: 1536 },
      { functionName: 'other', url: 'file:///app.js', line: 9, growth: 12 },
    ]
    const where = '1.5KB of it in remember (file:///app.js:7)'
    assert.equal(
      lines.leak({ ...leak, sites }),
      `leak suspected: heap grew by 2KB from ${span}, ${where}: it climbs`,
    )
  })

  test('names no place of a site that V8 knows none for', () => {
    const sites = [{ functionName: '(anonymous)', url: '', line: 0, growth: 1024 }]
    assert.match(lines.leak({ ...leak, sites }), /, 1KB of it in \(anonymous\): it climbs$/)
  })
})

test('a failure names its stage, and the kind if there is one', () => {
  assert.equal(lines.failure({ stage: 'sampling', kind: 'cpu', message: 'x' }), 'cpu sampling failed: x')
  assert.equal(lines.failure({ stage: 'stop', message: 'x' }), 'stop failed: x')
})

test('a dump of an earlier process says what that process met', () => {
  const files = ['/d/a.heapsnapshot', '/d/a.heapprofile']
  const line = lines.dump({
    ...{ kind: 'memory', rule: 'heap-limit', file: '/d/a.heapsnapshot', files, sizeBytes: 1024 * 1024 },
    ...{ way: 'fork', passedOver: [], pauseMs: 1, durationMs: 1, earlier: true },
  })
  assert.equal(
    line,
    "an earlier process reached V8's heap limit and left /d/a.heapsnapshot, /d/a.heapprofile (1MB)",
  )
})
