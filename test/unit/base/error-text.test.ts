import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runInNewContext } from 'node:vm'
import { firstLineOf, messageOf } from '../../../src/base/globals'

test('the text of an error is its message, of another vm context too', () => {
  assert.equal(messageOf(new TypeError('no')), 'no')
  assert.equal(messageOf(runInNewContext('new Error("elsewhere")')), 'elsewhere')
  assert.equal(messageOf('broken'), 'broken')
})

test('anything else that is thrown is named', () => {
  assert.equal(messageOf(undefined), 'undefined was thrown')
  assert.equal(messageOf(null), 'null was thrown')
  assert.equal(messageOf(''), 'an empty string was thrown')
  assert.equal(messageOf(Symbol('odd')), 'Symbol(odd) was thrown')
  assert.equal(messageOf(new TypeError('')), 'TypeError was thrown')
  assert.equal(messageOf(Object.create(null)), 'an object was thrown whose text cannot be read')
})

test('the first line is no more than that', () => {
  assert.equal(firstLineOf(new Error('not found. Tried:\n -> /a\n -> /b')), 'not found. Tried:')
  assert.equal(firstLineOf(new Error('')), 'Error was thrown')
})
