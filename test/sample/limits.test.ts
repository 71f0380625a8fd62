import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import os from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'

import { readLimits, type Limits } from '../../dist/sample/limits.js'

const roots = join(__dirname, '..', 'fixtures', 'sample', 'roots')

describe('limits of each laid-out root', () => {
  for (const name of readdirSync(roots)) {
    test(name, () => {
      const expected = JSON.parse(readFileSync(join(roots, name, 'expected.json'), 'utf8')) as {
        limits: Limits
      }
      assert.deepEqual(readLimits(join(roots, name)), expected.limits)
    })
  }
})

test('a root without files has the limits of the machine', () => {
  assert.deepEqual(readLimits('/nowhere/at/all'), {
    totalMemoryBytes: os.totalmem(),
    memoryLimitSource: 'none',
    cpus: os.availableParallelism(),
    cpusSource: 'machine',
  })
})

test('this machine: plausible, and agrees with Node where Node knows a limit', () => {
  const limits = readLimits()
  assert.equal(limits.totalMemoryBytes, os.totalmem())
  assert.ok(limits.cpus > 0 && limits.cpus <= os.cpus().length)
  // process.constrainedMemory is in the types of later Nodes only as a number; unlimited is 0 or a number near 2^64.
  const known = process.constrainedMemory()
  if (known > 0 && known < os.totalmem()) assert.ok((limits.memoryLimitBytes ?? Infinity) <= known)
  else assert.equal(limits.memoryLimitSource, 'none')
})
