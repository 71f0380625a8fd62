import assert from 'node:assert/strict'
import { test } from 'node:test'
import { limitAboveHeapLimit } from '../../../../src/cluster/dump/heap-limit'

const MB = 1024 * 1024
const heap = (mb: number) => `--max-old-space-size=${mb}`

test('of several heap limits of the workers the last one counts, as in V8', () => {
  const limitBytes = 1024 * MB
  assert.match(limitAboveHeapLimit(limitBytes, [heap(8000), heap(100)]) ?? '', /about 100MB/)
  assert.equal(limitAboveHeapLimit(limitBytes, [heap(100), heap(8000)]), undefined)
})

test('the option that the primary has as well means the heap limit that V8 made of it here', () => {
  assert.equal(limitAboveHeapLimit(1024 * MB, [heap(100)], [heap(100)]), undefined)
})
