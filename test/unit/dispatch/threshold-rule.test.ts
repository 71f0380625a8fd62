import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { ThresholdRule } from '../../../src/dispatch/threshold-rule'

const [HIGH, LOW] = [90, 10]
const verdicts = (counter: number, readings: readonly number[]) => {
  const rule = new ThresholdRule(60, counter)
  return readings.map((reading) => rule.observe(reading))
}
const trips = (counter: number, readings: readonly number[]) =>
  verdicts(counter, readings).map((verdict) => verdict.trips)
const ends = (counter: number, readings: readonly number[]) =>
  verdicts(counter, readings).map((verdict) => verdict.endsEpisode)

describe('a breach', () => {
  test('is a reading above the threshold, not one equal to it', () => {
    assert.deepEqual(trips(1, [60, 60.1]), [false, true])
  })

  test('with threshold 0 is any use, but not none', () => {
    const rule = new ThresholdRule(0, 1)
    assert.equal(rule.observe(0).trips, false)
    assert.equal(rule.observe(0.01).trips, true)
  })
})

describe('a trip', () => {
  test('comes with the counter-th breach in a row', () => {
    assert.deepEqual(trips(3, [HIGH, HIGH, HIGH]), [false, false, true])
  })

  test('does not come with counter - 1 breaches in a row, however often', () => {
    assert.ok(!trips(3, [HIGH, HIGH, LOW, HIGH, HIGH, LOW, HIGH, HIGH]).includes(true))
  })

  test('comes again each time the counter is full (1.x reset the count in its else branch)', () => {
    assert.deepEqual(trips(2, [HIGH, HIGH, HIGH, HIGH]), [false, true, false, true])
  })

  test('does not come from readings before and after a gap', () => {
    const rule = new ThresholdRule(60, 2)
    rule.observe(HIGH)
    rule.interrupt()
    assert.equal(rule.observe(HIGH).trips, false)
    assert.equal(rule.observe(HIGH).trips, true)
  })

  test('comes exactly once per full row of breaches', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.boolean(), { maxLength: 60 }),
        (counter, breaches) => {
          const rows = breaches
            .map((isBreach) => (isBreach ? 'x' : ' '))
            .join('')
            .split(' ')
          const expected = rows.reduce((sum, row) => sum + Math.floor(row.length / counter), 0)
          const readings = breaches.map((isBreach) => (isBreach ? HIGH : LOW))
          assert.equal(trips(counter, readings).filter(Boolean).length, expected)
        },
      ),
    )
  })
})

describe('an episode', () => {
  test('lasts from the trip to counter calm readings in a row, and ends once', () => {
    const all = ends(2, [LOW, LOW, HIGH, HIGH, LOW, HIGH, LOW, LOW, LOW, LOW])
    assert.equal(all.indexOf(true), 7)
    assert.equal(all.lastIndexOf(true), 7)
  })

  test('does not end when a breach breaks the row of calm readings', () => {
    assert.ok(!ends(2, [HIGH, HIGH, LOW, HIGH, LOW, HIGH]).includes(true))
  })

  test('does not end when it never began', () => {
    assert.ok(!ends(1, [LOW, LOW]).includes(true))
  })

  test('does not end with calm readings before and after a gap', () => {
    const rule = new ThresholdRule(60, 2)
    for (const reading of [HIGH, HIGH, LOW]) rule.observe(reading)
    rule.interrupt()
    assert.equal(rule.observe(LOW).endsEpisode, false)
    assert.equal(rule.observe(LOW).endsEpisode, true)
  })

  test('has each reason for not dumping as news once, and the next episode again', () => {
    const rule = new ThresholdRule(60, 1)
    rule.observe(HIGH)
    assert.deepEqual(
      [rule.isNews('limited'), rule.isNews('limited'), rule.isNews('disk')],
      [true, false, true],
    )
    rule.observe(HIGH)
    assert.equal(rule.isNews('limited'), false, 'a second trip is no new episode')
    rule.observe(LOW)
    rule.observe(HIGH)
    assert.equal(rule.isNews('limited'), true)
  })
})

test('a change counts from the next reading on, and keeps what has been counted', () => {
  const rule = new ThresholdRule(10, 3)
  rule.observe(11)
  rule.observe(11)
  assert.equal(rule.breaches, 2)
  rule.change(20, 3)
  assert.deepEqual([rule.threshold, rule.counter], [20, 3])
  assert.equal(rule.observe(21).trips, true)
  rule.observe(21)
  rule.change(20, 2)
  assert.equal(rule.observe(21).trips, true)
  assert.equal(rule.observe(15).trips, false)
  assert.equal(rule.breaches, 0)
})
