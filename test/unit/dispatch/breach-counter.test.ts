import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BreachCounter } from '../../../src/dispatch/breach-counter'

const trips = (counter: number, breaches: boolean[]) => {
  const breachCounter = new BreachCounter(counter)
  return breaches.map((isBreach) => breachCounter.observe(isBreach))
}

test('trips at the counter-th breach in a row', () => {
  assert.deepEqual(trips(3, [true, true, true]), [false, false, true])
})

test('does not trip at counter - 1 breaches in a row, however often', () => {
  assert.ok(!trips(3, [true, true, false, true, true, false, true, true]).includes(true))
})

test('counts above 1 survive the reading that counts them (1.x reset the count in its else branch)', () => {
  assert.deepEqual(trips(2, [true, true, true, true]), [false, true, false, true])
})

test('an interruption breaks the row', () => {
  const breachCounter = new BreachCounter(2)
  breachCounter.observe(true)
  breachCounter.interrupt()
  assert.equal(breachCounter.observe(true), false)
  assert.equal(breachCounter.observe(true), true)
})

test('trips exactly once per full row of breaches', () => {
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
        assert.equal(trips(counter, breaches).filter(Boolean).length, expected)
      },
    ),
  )
})
