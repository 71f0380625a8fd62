import assert from 'node:assert/strict'
import test from 'node:test'
import { BACKOFF_SPREAD, backoffMs, CrashBackoff } from '../../../../src/cluster/plan/backoff'

const settings = { baseMs: 1000, maxMs: 30_000 }
const middle = () => 0.5

test('the delay doubles with every step up to the longest', () => {
  const delays = [0, 1, 2, 3, 4, 5, 6, 7, 100].map((step) => backoffMs(step, settings, middle))
  assert.deepEqual(delays, [0, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000])
})

test('a delay is spread by a quarter up and down', () => {
  assert.equal(BACKOFF_SPREAD, 0.25)
  assert.equal(
    backoffMs(1, settings, () => 0),
    750,
  )
  assert.ok(backoffMs(1, settings, () => 0.999_999) < 1250)
})

test('workers that die in the same step count once', () => {
  const crashes = new CrashBackoff(settings, middle)
  assert.equal(crashes.note(0), true)
  assert.equal(crashes.note(10), false)
  assert.equal(crashes.note(999), false)
  assert.equal(crashes.step, 1)
  assert.equal(crashes.until, 1000)
})

test('the next death after a step makes the next step', () => {
  const crashes = new CrashBackoff(settings, middle)
  crashes.note(0)
  assert.equal(crashes.note(1000), true)
  assert.equal(crashes.step, 2)
  assert.equal(crashes.until, 3000)
})

test('calm begins again at the base', () => {
  const crashes = new CrashBackoff(settings, middle)
  crashes.note(0)
  crashes.note(5000)
  crashes.calm()
  assert.equal(crashes.baseDelayMs(), 0)
  crashes.note(100_000)
  assert.equal(crashes.until, 101_000)
  assert.equal(crashes.baseDelayMs(), 1000)
})

test('a death after calm is a first step, even within an earlier wait', () => {
  const crashes = new CrashBackoff(settings, middle)
  crashes.note(0)
  crashes.note(1000)
  crashes.calm()
  assert.equal(crashes.until, 3000)
  assert.equal(crashes.note(1500), true)
  assert.deepEqual([crashes.step, crashes.until], [1, 2500])
  assert.equal(crashes.note(1600), false)
})
