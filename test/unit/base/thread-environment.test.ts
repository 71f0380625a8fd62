import assert from 'node:assert/strict'
import { test } from 'node:test'
import { threadEnvironment } from '../../../src/base/thread-environment'

test('leaves out what would make the thread part of the application, and nothing else', () => {
  const given = {
    PATH: '/bin',
    NODE_OPTIONS: '--require x',
    NODE_V8_COVERAGE: '/c',
    NODE_PATH: '/n',
    EMPTY: undefined,
  }
  assert.deepEqual(threadEnvironment(given), { PATH: '/bin', NODE_PATH: '/n', EMPTY: undefined })
  assert.equal(given.NODE_OPTIONS, '--require x', 'the given one is as it was')
})
