import assert from 'node:assert/strict'
import { it } from 'node:test'
import { figuresOf, judge } from './figures'
import { HOUR_MS } from './heap'
import type { Rule } from './rules'

/** Alarms whenever the heap is at 1. */
const AT_ONE: Rule = {
  name: 'at one',
  start:
    () =>
    ({ usedBytes }) =>
      usedBytes === 1,
}

const drawn = (leaks: boolean, leakFromHour: number, ...sizes: number[]) => ({
  name: 'drawn',
  leaks,
  leakFromHour,
  hours: 100,
  readings: sizes.map((usedBytes, hour) => ({ atMs: hour * HOUR_MS, usedBytes })),
  parts: [],
  seed: 1,
})

it('alarms before a leak and in clean runs are false, the first one after it is its delay', () => {
  const outcomes = [
    judge(AT_ONE, drawn(false, 0, 0, 1, 0, 1)),
    judge(AT_ONE, drawn(false, 0, 0, 0)),
    judge(AT_ONE, drawn(true, 2, 0, 1, 0, 0, 1, 1)),
    judge(AT_ONE, drawn(true, 0, 0, 0)),
  ]
  assert.deepEqual(outcomes[2], {
    name: 'drawn',
    leaks: true,
    cleanHours: 2,
    falseAlarms: [1],
    delayHours: 2,
  })
  assert.deepEqual(figuresOf(outcomes), {
    falseAlarmsPer1000Hours: (1000 * 3) / 202,
    cleanRunsWithOne: 0.5,
    found: 0.5,
    medianDelayHours: 2,
  })
})
