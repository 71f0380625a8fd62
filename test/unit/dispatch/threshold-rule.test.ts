import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ThresholdRule } from '../../../src/dispatch/threshold-rule'

test('a reading above the threshold is a breach, one equal to it is not', () => {
  const rule = new ThresholdRule(60, 1)
  assert.equal(rule.observe(60).trips, false)
  assert.equal(rule.observe(60.1).trips, true)
})

test('threshold 0: any use trips, none does not', () => {
  const rule = new ThresholdRule(0, 1)
  assert.equal(rule.observe(0).trips, false)
  assert.equal(rule.observe(0.01).trips, true)
})

test('an episode lasts from the trip to counter calm readings in a row', () => {
  const rule = new ThresholdRule(60, 2)
  const ends = [10, 10, 90, 90, 10, 90, 10, 10, 10].map((reading) => rule.observe(reading).endsEpisode)
  assert.equal(ends.indexOf(true), 7)
  assert.equal(ends.lastIndexOf(true), 7)
})

test('a lasting condition trips again each time the counter is full', () => {
  const rule = new ThresholdRule(60, 2)
  const trips = [90, 90, 90, 90].map((reading) => rule.observe(reading).trips)
  assert.deepEqual(trips, [false, true, false, true])
})

test('readings before and after a gap do not make a row', () => {
  const rule = new ThresholdRule(60, 2)
  rule.observe(90)
  rule.interrupt()
  assert.equal(rule.observe(90).trips, false)
})

test('nor do calm readings, which would end the episode', () => {
  const rule = new ThresholdRule(60, 2)
  for (const reading of [90, 90, 10]) rule.observe(reading)
  rule.interrupt()
  assert.equal(rule.observe(10).endsEpisode, false)
  assert.equal(rule.observe(10).endsEpisode, true)
})
