import assert from 'node:assert/strict'
import { test } from 'node:test'

import { pageSizeBytes } from '../../dist/sample/page-size.js'

test('the page size, also when the resident set moved by a third between the two readings', () => {
  for (const bytes of [4096, 16_384, 65_536]) {
    for (const moved of [1, 0.75, 1.33]) assert.equal(pageSizeBytes(10_000 * bytes * moved, 10_000), bytes)
  }
})

test('two readings of different processes have no page size', () => {
  for (const [rssBytes, pages] of [
    [1, 10_000],
    [1e12, 10],
    [1e6, 0],
    [0, 10],
    [0, 0],
    [NaN, 1],
  ] as const) {
    assert.equal(pageSizeBytes(rssBytes, pages), undefined)
  }
})
