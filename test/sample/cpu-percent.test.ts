import assert from 'node:assert/strict'
import { test } from 'node:test'

import { cpuPercent, SHORTEST_SPAN_MS } from '../../dist/sample/cpu-percent.js'

test('percent of one core', () => {
  assert.equal(cpuPercent({ nowMs: 1000, cpuMs: 50 }, { nowMs: 2000, cpuMs: 650 }), 60)
  assert.equal(cpuPercent({ nowMs: 1000, cpuMs: 50 }, { nowMs: 2000, cpuMs: 2550 }), 250)
  assert.equal(cpuPercent({ nowMs: 1000, cpuMs: 50 }, { nowMs: 2000, cpuMs: 50 }), 0)
})

test('a span too short to tell has none', () => {
  assert.equal(SHORTEST_SPAN_MS, 10)
  for (const spanMs of [9.9, 0, -1000, NaN]) {
    assert.equal(cpuPercent({ nowMs: 0, cpuMs: 0 }, { nowMs: spanMs, cpuMs: 10 }), undefined)
  }
  assert.equal(cpuPercent({ nowMs: 0, cpuMs: 0 }, { nowMs: 10, cpuMs: 10 }), 100)
})

test('never below 0', () => {
  assert.equal(cpuPercent({ nowMs: 0, cpuMs: 100 }, { nowMs: 1000, cpuMs: 90 }), 0)
})
