import assert from 'node:assert/strict'
import { test } from 'node:test'
import { absoluteThreshold } from '../../../src/monitor/threshold'

test('an absolute threshold is itself', () => {
  assert.equal(absoluteThreshold({ unit: 'absolute', value: 250 }, 400), 250)
})

test('a share is taken of what the process may use', () => {
  assert.equal(absoluteThreshold({ unit: 'share', percent: 80 }, 400), 320)
  assert.equal(absoluteThreshold({ unit: 'share', percent: 100 }, 1_000_000_000), 1_000_000_000)
})
