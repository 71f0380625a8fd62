import assert from 'node:assert/strict'
import { test } from 'node:test'
import { tenths } from '../../../src/base/time'

test('a time is rounded to the tenth of a millisecond', () => {
  assert.deepEqual([0, 0.04, 0.05, 12.3456, 1000].map(tenths), [0, 0, 0.1, 12.3, 1000])
})
