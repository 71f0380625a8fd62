import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ReadingLog, READINGS_KEPT, sidecarReadings } from '../../../src/dispatch/dispatcher'

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

test('the sidecar has a reading with its time in ISO 8601', () => {
  const log = new ReadingLog()
  assert.deepEqual(sidecarReadings(log), [])
  log.add({ atEpochMs: Date.UTC(2026, 0, 1), value: 7 })
  assert.deepEqual(sidecarReadings(log), [{ at: '2026-01-01T00:00:00.000Z', value: 7 }])
})
