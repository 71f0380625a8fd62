import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ASLEEP_AFTER_MS, ChildWatch, STALLED_AFTER_MS } from '../../../../../src/capture/heap/fork/verdict'

const use = { cpu: 1, state: 'R', isLocked: false, anonymousBytes: 500 }
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

for (const [where, isLocked, mostMs] of [
  ['on a lock', true, STALLED_AFTER_MS],
  ['elsewhere, as a slow file system makes it,', false, ASLEEP_AFTER_MS],
] as const) {
  test(`one that sleeps ${where} without CPU time is stalled in the end`, () => {
    const child = watch()
    const asleep = (atMs: number) => child.judge(sight(atMs, { state: 'S', isLocked }))
    assert.deepEqual([asleep(0), asleep(mostMs - 1), asleep(mostMs)], [undefined, undefined, 'stalled'])
  })
}

test('the promised numbers', () => assert.deepEqual([STALLED_AFTER_MS, ASLEEP_AFTER_MS], [3000, 30_000]))

for (const state of ['R', 'D', 'T']) {
  test(`one in state ${state} without CPU time is not`, () => {
    const child = watch()
    for (let atMs = 0; atMs < 60_000; atMs += 100) {
      assert.equal(child.judge(sight(atMs, { state, isLocked: true })), undefined)
    }
  })
}

test('CPU time after a pause starts the wait anew', () => {
  const child = watch()
  const locked = { state: 'S', isLocked: true }
  child.judge(sight(0, locked))
  child.judge(sight(2900, { cpu: 2, ...locked }))
  assert.equal(child.judge(sight(5800, { cpu: 2, ...locked })), undefined)
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
