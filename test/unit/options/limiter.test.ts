import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readKeep, readLimiter } from '../../../src/options/limiter.js'

for (const [name, intervalMs] of [
  ['second', 1000],
  ['sec', 1000],
  ['minute', 60_000],
  ['min', 60_000],
  ['hour', 3_600_000],
  ['hr', 3_600_000],
  ['day', 86_400_000],
] as const) {
  test(`limiter interval ${name}`, () => {
    assert.deepEqual(readLimiter([1, name], 'limiter'), { tokensPerInterval: 1, intervalMs })
  })
}

test('an interval in ms is taken as it is; without a limiter it is three an hour', () => {
  assert.deepEqual(readLimiter([0, 0.5], 'limiter'), { tokensPerInterval: 0, intervalMs: 0.5 })
  assert.deepEqual(readLimiter(undefined, 'limiter'), { tokensPerInterval: 3, intervalMs: 3_600_000 })
})

test('what is to be kept is a number, 10 when absent, or false', () => {
  assert.deepEqual(
    [undefined, 0, false].map((value) => readKeep(value, 'keep')),
    [10, 0, false],
  )
})

test('errors name the option as it was given', () => {
  assert.throws(() => readLimiter([1, 'week'], 'options.dump.limiter'), {
    name: 'RangeError',
    message: /^options\.dump\.limiter\[1\] must be a number .*; received 'week'$/,
  })
  assert.throws(() => readKeep('all', 'options.keep'), {
    name: 'TypeError',
    message: /^options\.keep must be/,
  })
})
