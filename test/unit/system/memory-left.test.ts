import assert from 'node:assert/strict'
import os from 'node:os'
import { describe, test } from 'node:test'
import { readMemoryLeft } from '../../../src/system/limits'
import { CGROUP_ROOTS, MACHINE_NEARLY_FULL, readerOf } from './cgroup-roots'

describe('memory left on each machine of the table', () => {
  for (const [name, { files, left }] of Object.entries(CGROUP_ROOTS)) {
    test(name, () => assert.deepEqual(readMemoryLeft(readerOf(files)), left))
  }
})

test('the machine may have less than the limit leaves', () => {
  assert.equal(readMemoryLeft(readerOf(MACHINE_NEARLY_FULL)).availableBytes, 64 * 1024 * 1024)
})

test('a machine without files has the memory left that Node knows', () => {
  const { availableBytes } = readMemoryLeft(readerOf({}))
  assert.ok(availableBytes > 0 && availableBytes <= os.totalmem())
})
