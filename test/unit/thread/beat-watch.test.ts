import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BEAT_MS, BeatWatch, TICK_MS } from '../../../src/thread/beat-watch'

const ticks = (watch: BeatWatch, beats: number, ms: number, isPaused = false) =>
  Array.from({ length: ms / TICK_MS }, () => watch.tick(beats, isPaused)).filter(Boolean)

test('the beat of the contract', () => assert.equal(BEAT_MS, 1000))

test('silence of the configured length and one beat blocks, once', () => {
  const watch = new BeatWatch(5000)
  watch.tick(1, false)
  assert.deepEqual(ticks(watch, 1, 20_000), ['blocks'])
})

test('4 s of blocking after a beat that came 1 s before does not', () => {
  const watch = new BeatWatch(5000)
  watch.tick(1, false)
  assert.deepEqual(ticks(watch, 1, 5000), [])
})

test('a beat frees, and the next silence blocks again', () => {
  const watch = new BeatWatch(1000)
  watch.tick(1, false)
  ticks(watch, 1, 3000)
  assert.equal(watch.tick(2, false), 'frees')
  assert.deepEqual(ticks(watch, 2, 3000), ['blocks'])
})

test('a loop that turns frees nothing, as nothing was blocked', () => {
  const watch = new BeatWatch(1000)
  for (let beats = 1; beats < 50; beats++) assert.equal(watch.tick(beats, false), undefined)
})

test('a synchronous boot before the first beat does not block', () => {
  assert.deepEqual(ticks(new BeatWatch(1000), 0, 60_000), [])
})

test('a pause in the debugger does not block', () => {
  const watch = new BeatWatch(1000)
  watch.tick(1, false)
  assert.deepEqual(ticks(watch, 1, 60_000, true), [])
})
