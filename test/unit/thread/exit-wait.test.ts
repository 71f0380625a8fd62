import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as exitWaitModule from '../../../src/thread/exit-wait.js'

const { EXIT_WAIT_BYTES, EXIT_WAIT_MS, ExitWait } = exitWaitModule
const twoSides = () => {
  const shared = new SharedArrayBuffer(EXIT_WAIT_BYTES)
  return { main: new ExitWait(shared), thread: new ExitWait(shared) }
}

test('the wait leaves a margin below the 500 ms that are promised', () => assert.ok(EXIT_WAIT_MS < 500))

test('while the process runs anything may begin', () => {
  const { main, thread } = twoSides()
  assert.equal(thread.tryHold(), true)
  assert.equal(thread.isExiting, false)
  assert.equal(main.isHeld, true)
  thread.release()
  assert.equal(main.isHeld, false)
})

test('nothing begins once the process is exiting', () => {
  const { main, thread } = twoSides()
  main.begin()
  assert.equal(thread.isExiting, true)
  assert.equal(thread.tryHold(), false)
  assert.equal(main.isHeld, false)
})

test('a dump that begins after the exit reaches the main thread no more', () => {
  const { main, thread } = twoSides()
  main.begin()
  thread.hold()
  assert.equal(thread.tryHold(), false)
})

test('what is under way may go on, until the wait is over', () => {
  const { main, thread } = twoSides()
  thread.hold()
  main.begin()
  assert.equal(thread.tryHold(), true)
  let nowMs = 0
  main.wait(() => (nowMs += EXIT_WAIT_MS))
  assert.equal(thread.tryHold(), false)
})

test('a forked child at work holds nothing, and its dump holds again when it is back', () => {
  const { main, thread } = twoSides()
  thread.hold()
  thread.noteChild(4711)
  assert.deepEqual([main.isHeld, main.childPid], [false, 4711])
  thread.noteChild(undefined)
  assert.deepEqual([main.isHeld, main.childPid], [true, undefined])
  thread.release()
  assert.equal(main.isHeld, false)
})

test('the wait ends at once when nothing is held', () => {
  const { main } = twoSides()
  main.begin()
  main.wait(() => 0)
  assert.equal(main.isHeld, false)
})
