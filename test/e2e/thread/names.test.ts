import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import type { Sidecar } from '../../../dist/files/sidecar'
import { LEAST_SHARE, readProfile, shareOf, watch } from './watched-program'

/** A dump by the threshold alone, begun when the program has been busy for a while. */
const THRESHOLD_ONLY = { cpu: { threshold: 10, interval: 500, counter: 2, duration: 2500, blocked: false } }
const FILE = /^cpu-\d+-\d+\.cpuprofile$/

const isDiscarded = (file: string): unknown =>
  (JSON.parse(readFileSync(`${file}.json`, 'utf8')) as Sidecar).how.notes?.['discardedOptimizedCode']

describe('a loop that V8 optimized before the profile began', { concurrency: 2 }, () => {
  for (const [way, guilty] of [
    ['loop', 'guiltyLoop'],
    ['regex', 'guiltyRegex'],
    ['handler', 'guiltyHandler'],
  ] as const) {
    test(`${way}: is named, for optimized code is discarded`, async (t) => {
      const program = watch(t, THRESHOLD_ONLY, way)
      const file = await program.leaves(FILE)
      assert.ok(shareOf(readProfile(file), guilty) > LEAST_SHARE)
      assert.equal(isDiscarded(file), true)
    })
  }

  test('short: a main thread whose event loop turns often keeps its optimized code', async (t) => {
    const program = watch(t, THRESHOLD_ONLY, 'short')
    assert.equal(isDiscarded(await program.leaves(FILE)), false)
  })
})
