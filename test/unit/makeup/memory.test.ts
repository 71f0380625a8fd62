import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MemoryUse } from '../../../src/makeup/makeup.js'
import { memoryUse } from '../../../src/makeup/memory.js'

const figures = {
  atMs: 1000,
  heapUsed: 30,
  heapTotal: 40,
  heapLimit: 500,
  external: 20,
  arrayBuffers: 15,
  threadCpuMs: NaN,
}
const worker = { id: 3, name: 'resizer', heapUsed: 60, heapTotal: 70, external: 30, arrayBuffers: 25 }

test('the resident set is the sum of heaps, external memory and the rest', () => {
  assert.deepEqual(memoryUse(200, figures, [worker], 1250), {
    rss: 200,
    heapUsed: 30,
    heapTotal: 40,
    heapLimit: 500,
    external: 20,
    arrayBuffers: 15,
    ageMs: 250,
    workers: [worker],
    rest: 40,
  })
})

test('external memory that was never touched makes no negative rest', () => {
  assert.equal(memoryUse(200, { ...figures, external: 1e9 }, [], 1000).rest, 0)
})

test('before the first report of the main thread its part is in the rest', () => {
  assert.deepEqual(memoryUse(200, undefined, [worker], 0), { rss: 200, workers: [worker], rest: 100 })
})

test('pages of the heap that V8 has not touched are not counted', () => {
  const grown = { ...figures, heapUsed: 120, heapTotal: 250, external: 10 }
  assert.deepEqual(pick(memoryUse(200, grown, [], 1000)), [190, 0])
  // What is used was touched, whatever the two figures, which are read one after the other, say.
  assert.deepEqual(pick(memoryUse(100, grown, [], 1000)), [120, 0])
})

function pick({ heapTotal, rest }: MemoryUse): unknown[] {
  return [heapTotal, rest]
}
