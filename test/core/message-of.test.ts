import assert from 'node:assert/strict'
import { test } from 'node:test'
import { firstLineOf, messageOf } from '../../src/core/message-of'

test('an error says its message, anything else itself', () => {
  assert.equal(messageOf(new TypeError('no')), 'no')
  assert.equal(messageOf('broken'), 'broken')
  assert.equal(messageOf(undefined), 'undefined')
})

test('the first line is no more than that', () => {
  assert.equal(firstLineOf(new Error('not found. Tried:\n -> /a\n -> /b')), 'not found. Tried:')
  assert.equal(firstLineOf(new Error('')), '')
})
