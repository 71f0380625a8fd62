import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describe, readMs, readObject } from '../../../src/options/read.js'

test('a long value is shortened, and one that throws when it is looked at is named by its type', () => {
  const hostile = {
    get [Symbol.toStringTag]() {
      throw new Error('gotcha')
    },
  }
  assert.ok(describe('x'.repeat(1e6)).length < 130)
  assert.ok(describe(Array.from({ length: 1e5 }, () => 'x'.repeat(100))).length < 130)
  assert.equal(describe(hostile), 'object')
  assert.equal(describe('5s'), "'5s'")
})

test('an option of another prototype is no option: only own keys are read', () => {
  const given = readObject(Object.create({ interval: 5 }) as object, 'options', ['interval'])
  assert.equal(given['interval'], undefined)
})

test('what a timer cannot hold is refused, and what it can is not', () => {
  assert.equal(readMs(2_147_483_647, 'interval', 1), 2_147_483_647)
  assert.throws(() => readMs(2_147_483_648, 'interval', 1), RangeError)
})
