import assert from 'node:assert/strict'
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { writeHeapSnapshot } from 'node:v8'
import { whyNotWhole } from '../../../src/files/artefact'
import { scratch } from './scratch'

function faultOf(t: TestContext, content: string | Uint8Array): string | undefined {
  const file = join(scratch(t), 'file')
  writeFileSync(file, content)
  const fd = openSync(file, 'r')
  try {
    return whyNotWhole(fd, Buffer.from(content).length)
  } finally {
    closeSync(fd)
  }
}

const HEAD = '{"snapshot":{"meta":{'

test('a snapshot of V8 is whole; one that was cut is not', (t) => {
  const file = join(scratch(t), 'real.heapsnapshot')
  writeHeapSnapshot(file)
  const bytes = readFileSync(file)
  assert.equal(faultOf(t, bytes), undefined)
  for (const left of [1, HEAD.length, 4096, bytes.length >> 1, bytes.length - 1])
    assert.match(faultOf(t, bytes.subarray(0, left)) ?? '', /does not (begin|end)/, `${left} bytes`)
})

test('a snapshot whose end the disk lost is not whole', (t) => {
  assert.match(faultOf(t, HEAD + '"strings":["a"]}' + '\0'.repeat(512)) ?? '', /does not end/)
})

test('a file of zeros, another file, an empty one are no snapshots', (t) => {
  assert.match(faultOf(t, Buffer.alloc(5000)) ?? '', /does not begin/)
  assert.match(faultOf(t, '{"nodes":["a"]}') ?? '', /does not begin/)
  assert.match(faultOf(t, '"]}') ?? '', /does not begin/)
  assert.match(faultOf(t, '') ?? '', /empty/)
})
