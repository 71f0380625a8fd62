import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ChildWatch, STALLED_AFTER_MS } from '../../src/core/child-watch'

const use = { cpu: 1, state: 'R', anonymousBytes: 500 }
const sight = (atMs: number, changed: Partial<typeof use> = {}) => ({
  ...{ atMs, availableBytes: 1000 },
  usage: { ...use, ...changed },
})
const watch = () => new ChildWatch(0, 120_000, 100, 300)

test('a child that works may go on', () => {
  const child = watch()
  for (let atMs = 0; atMs < 60_000; atMs += 100) {
    assert.equal(child.judge(sight(atMs, { cpu: atMs, state: 'S' })), undefined)
  }
})

test('one that sleeps without CPU time is stalled', () => {
  const child = watch()
  assert.equal(child.judge(sight(0, { state: 'S' })), undefined)
  assert.equal(child.judge(sight(STALLED_AFTER_MS - 1, { state: 'S' })), undefined)
  assert.equal(child.judge(sight(STALLED_AFTER_MS, { state: 'S' })), 'stalled')
})

for (const state of ['R', 'D', 'T']) {
  test(`one in state ${state} without CPU time is not`, () => {
    const child = watch()
    for (let atMs = 0; atMs < 60_000; atMs += 100) {
      assert.equal(child.judge(sight(atMs, { state })), undefined)
    }
  })
}

test('CPU time after a pause starts the wait anew', () => {
  const child = watch()
  child.judge(sight(0, { state: 'S' }))
  child.judge(sight(2900, { cpu: 2, state: 'S' }))
  assert.equal(child.judge(sight(5800, { cpu: 2, state: 'S' })), undefined)
})

test('one that leaves less than the reserve is ended at once', () => {
  assert.equal(watch().judge({ ...sight(1), availableBytes: 100 }), undefined)
  assert.equal(watch().judge({ ...sight(1), availableBytes: 99 }), 'hungry')
})

test('one that has more than its allowance on top of what it began with is ended', () => {
  const child = watch()
  child.judge(sight(0))
  assert.equal(child.judge(sight(1, { anonymousBytes: 800 })), undefined)
  assert.equal(child.judge(sight(2, { anonymousBytes: 801 })), 'hungry')
})

test('one that is not done at the deadline is late', () => {
  assert.equal(watch().judge(sight(120_000)), undefined)
  assert.equal(watch().judge(sight(120_001)), 'late')
})

test('one that is not to be seen is ended for memory and time all the same, and for nothing else', () => {
  const child = watch()
  const hidden = { usage: undefined, availableBytes: 1000 }
  for (let atMs = 0; atMs <= 120_000; atMs += 1000) assert.equal(child.judge({ ...hidden, atMs }), undefined)
  assert.equal(child.judge({ ...hidden, atMs: 1, availableBytes: 99 }), 'hungry')
  assert.equal(child.judge({ ...hidden, atMs: 120_001 }), 'late')
})
