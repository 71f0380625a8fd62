import assert from 'node:assert/strict'
import { test } from 'node:test'

import { kernelFiles } from '../../dist/sample/kernel-files.js'
import { fixture } from './run-fixture.js'

test('a file beneath the root, by its absolute path', () => {
  const read = kernelFiles(fixture('roots/v2-own-limit'))
  assert.match(read('/proc/self/status') ?? '', /^Name:\tnode$/m)
})

test('what is missing or cannot be read is undefined', () => {
  const read = kernelFiles(fixture('roots/v2-files-unreadable'))
  assert.equal(read('/proc/nothing'), undefined)
  assert.equal(read('/sys/fs/cgroup/app/memory.max'), undefined)
})
