import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as recorderModule from '../../../src/makeup/recorder.js'

const { FLIGHT_READINGS, FlightRecorder } = recorderModule
const MB = 1024 * 1024
const toIso = (epochMs: number) => `at ${epochMs}`

function recorderWith(readings: number) {
  const recorder = new FlightRecorder()
  for (let at = 0; at < readings; at++)
    recorder.add({
      atEpochMs: at * 1000,
      cpuPercent: at + 0.4,
      rss: at * MB,
      heapUsed: NaN,
      loopDelayMs: 0.6,
      gcPercent: at % 2,
    })
  return recorder
}

test('the last minutes are columns, oldest first, unknown values null', () => {
  assert.deepEqual(recorderWith(3).flight(toIso), {
    endedAt: 'at 2000',
    secondsAgo: [2, 1, 0],
    cpuPercent: [0, 1, 2],
    rssMb: [0, 1, 2],
    heapUsedMb: [null, null, null],
    loopDelayMs: [1, 1, 1],
    gcPercent: [0, 1, 0],
  })
})

test('without a reading there is nothing', () => {
  assert.equal(new FlightRecorder().flight(toIso), undefined)
})

test('only five minutes are kept, in the right order after the turn of the ring', () => {
  const flight = recorderWith(FLIGHT_READINGS + 7).flight(toIso)
  assert.equal(flight?.secondsAgo.length, 300)
  assert.equal(flight.secondsAgo[0], 299)
  assert.deepEqual(flight.cpuPercent.slice(0, 2), [7, 8])
  assert.equal(flight.cpuPercent.at(-1), 306)
})

test('a day of readings stays below 9 KB of JSON', () => {
  const recorder = new FlightRecorder()
  for (let at = 0; at < 86_400; at++)
    recorder.add({
      atEpochMs: at * 1000,
      cpuPercent: 1600.123,
      rss: 64_000 * MB,
      heapUsed: 4096.7 * MB,
      loopDelayMs: 123.456,
      gcPercent: 12.34,
    })
  assert.ok(JSON.stringify(recorder.flight(toIso)).length < 9000)
})
