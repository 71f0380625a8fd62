import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ReadingLog } from '../../../src/dispatch/reading-log.js'
import { sidecarReadings } from '../../../src/dispatch/sidecar-readings.js'

test('a reading is told with its time as people and machines read it', () => {
  const log = new ReadingLog()
  assert.deepEqual(sidecarReadings(log), [])
  log.add({ atEpochMs: Date.UTC(2026, 0, 1), value: 7 })
  assert.deepEqual(sidecarReadings(log), [{ at: '2026-01-01T00:00:00.000Z', value: 7 }])
})
