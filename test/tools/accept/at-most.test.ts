import assert from 'node:assert/strict'
import { test } from 'node:test'
import { expectAtMost } from './programs/at-most.mjs'

const check = (...starts: number[]) =>
  expectAtMost(
    starts.map((startedAtMs) => ({ startedAtMs })),
    { tokens: 3, intervalMs: 10_000, lateMs: 1500 },
  )
const times = (count: number, startedAtMs: number): number[] => Array<number>(count).fill(startedAtMs)

test('what a budget allows passes: the ends of two intervals side by side, and a dump that comes late', () => {
  check()
  check(...times(3, 9999), ...times(3, 10_000), ...times(3, 20_000), ...times(3, 30_000))
  check(...times(3, 1400), ...times(3, 9999), ...times(1, 10_000))
})

test('more than that fails, whatever comes long after it', () => {
  assert.throws(() => check(...times(7, 0)), /^AssertionError.*: 7 dumps within 0 ms, at 3 in 10000 ms/)
  assert.throws(() => check(...times(14, 0), 40_000))
  assert.throws(() => check(40_000, ...times(3, 0), ...times(3, 5000), 8400))
})
