import assert from 'node:assert/strict'
import os from 'node:os'
import { describe, test } from 'node:test'
import { readLimits } from '../../../src/system/limits'
import { CGROUP_ROOTS, readerOf } from './cgroup-roots'

describe('limits of each machine of the table', () => {
  for (const [name, { files, limits, problems }] of Object.entries(CGROUP_ROOTS)) {
    test(name, () => {
      const expected = { totalMemoryBytes: 8_589_934_592, ...limits }
      assert.deepEqual(
        readLimits(readerOf(files)),
        problems ? { ...expected, problems: problems.join(', ') } : expected,
      )
    })
  }
})

test('each file is read once, since a start waits for it', () => {
  const paths: string[] = []
  const { files } = Object.values(CGROUP_ROOTS)[0] ?? assert.fail()
  const read = readerOf(files)
  readLimits((path, onError) => {
    paths.push(path)
    return read(path, onError)
  })
  assert.deepEqual(paths, [...new Set(paths)])
  assert.ok(paths.includes('/proc/self/mountinfo'), paths.join())
})

test('a machine without files has the limits that Node knows, and no problem', () => {
  assert.deepEqual(readLimits(readerOf({})), {
    totalMemoryBytes: os.totalmem(),
    memoryLimitSource: 'none',
    cpus: os.availableParallelism(),
    cpusSource: 'machine',
  })
})

test('this machine: plausible, without problems, and agrees with Node where Node knows a limit', () => {
  const limits = readLimits()
  assert.equal(limits.problems, undefined)
  assert.equal(limits.totalMemoryBytes, os.totalmem())
  assert.ok(limits.cpus > 0 && limits.cpus <= os.cpus().length)
  // process.constrainedMemory is in the types of later Nodes only as a number; unlimited is 0 or a number near 2^64.
  const known = process.constrainedMemory()
  if (known > 0 && known < os.totalmem()) assert.ok((limits.memoryLimitBytes ?? Infinity) <= known)
  else assert.equal(limits.memoryLimitSource, 'none')
})
