import assert from 'node:assert/strict'
import { test } from 'node:test'
import { READINGS_KEPT, ReadingLog } from '../../../src/dispatch/reading-log'

test('keeps the latest readings, oldest first, and no more', () => {
  const log = new ReadingLog()
  for (let value = 0; value < READINGS_KEPT + 5; value++) log.add({ atEpochMs: value, value })
  const values = log.latest().map(({ value }) => value)
  assert.equal(values.length, READINGS_KEPT)
  assert.deepEqual([values[0], values.at(-1)], [5, READINGS_KEPT + 4])
})

test('what was handed out does not change with later readings', () => {
  const log = new ReadingLog()
  const before = log.latest()
  log.add({ atEpochMs: 1, value: 1 })
  assert.deepEqual(before, [])
})

test('sixty readings go into the evidence', () => assert.equal(READINGS_KEPT, 60))
