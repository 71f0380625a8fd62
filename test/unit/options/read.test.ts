import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describe, kindOf, rangeError, readMs, readObject, typeError } from '../../../src/options/read.js'

const SECRET = 'redis://user:s3cret@redis'

test('a long text is shortened, one that may hold a password is not shown', () => {
  assert.ok(describe('x'.repeat(1e6)).length < 130)
  assert.equal(describe('5s'), "'5s'")
  assert.equal(
    rangeError('options.keep', 'a number', '5s').message,
    "options.keep must be a number; received '5s'",
  )
  for (const text of [SECRET, 'user:s3cret@redis', 's3://s3cret'])
    assert.doesNotMatch(describe(text), /s3cret/)
})

test('a value of the wrong type is named by its type, and by itself only where that can be no secret', () => {
  const { proxy, revoke } = Proxy.revocable([], {})
  revoke()
  const values = [SECRET, new URL(SECRET), { url: SECRET }, [SECRET], () => SECRET, Symbol(SECRET), proxy]
  assert.deepEqual(values.map(kindOf), [
    ...[
      'a string (not shown, because it may be a secret)',
      'an object',
      'an object',
      'an array',
      'a function',
      'a symbol',
      'an object',
    ],
  ])
  assert.deepEqual([5, NaN, 5n, true, null, undefined].map(kindOf), [
    '5',
    'NaN',
    '5',
    'true',
    'null',
    'undefined',
  ])
  for (const value of values) assert.doesNotMatch(typeError('options.url', 'a text', value).message, /s3cret/)
})

test('an unknown name is shown when it can be a misspelt option, and else not', () => {
  const refused = (given: object) => {
    try {
      return readObject(given, 'options', ['url'])
    } catch (error) {
      return (error as Error).message
    }
  }
  assert.equal(refused({ 'max-url': 1 }), 'options.max-url is not an option; options takes url')
  for (const name of [SECRET, 's3cret/'.repeat(6), 's3cret0'.repeat(6)])
    assert.equal(
      refused({ [name]: 1 }),
      'options: a key that is not shown, because it may be a secret, is not an option; options takes url',
    )
})

test('an option of another prototype is no option: only own keys are read', () => {
  const given = readObject(Object.create({ interval: 5 }) as object, 'options', ['interval'])
  assert.equal(given['interval'], undefined)
})

test('what a timer cannot hold is refused, and what it can is not', () => {
  assert.equal(readMs(2_147_483_647, 'interval', 1), 2_147_483_647)
  assert.throws(() => readMs(2_147_483_648, 'interval', 1), RangeError)
})
