import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import os from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'

import { readMemoryRoom, type MemoryLeft } from '../../dist/sample/memory-room.js'

const roots = join(__dirname, '..', 'fixtures', 'sample', 'roots')

describe('room of each laid-out root', () => {
  for (const name of readdirSync(roots)) {
    test(name, () => {
      const expected = JSON.parse(readFileSync(join(roots, name, 'expected.json'), 'utf8')) as {
        room: MemoryLeft
      }
      assert.deepEqual(readMemoryRoom(join(roots, name)), expected.room)
    })
  }
})

test('the machine may have less than the limit leaves', () => {
  const root = join(roots, '..', 'machine-nearly-full')
  assert.equal(readMemoryRoom(root).availableBytes, 64 * 1024 * 1024)
})

test('a root without files has the room of the machine', () => {
  const { availableBytes } = readMemoryRoom('/nowhere/at/all')
  assert.ok(availableBytes > 0 && availableBytes <= os.totalmem())
})
