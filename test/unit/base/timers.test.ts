import assert from 'node:assert/strict'
import { describe, mock, test } from 'node:test'
import nodeTimers from 'node:timers'
import * as clock from '../../../src/base/time.js'
import * as timers from '../../../src/base/time.js'

const { pause } = timers

describe('timers and clocks taken before an application replaced them', () => {
  test('are the real ones, and go on', async (t) => {
    t.after(() => mock.restoreAll())
    const beganMs = clock.monotonicMs()
    const never = () => assert.fail('the replaced one was called')
    for (const name of ['setTimeout', 'setInterval', 'clearTimeout', 'clearInterval'] as const) {
      mock.method(globalThis, name, never as never)
      mock.method(nodeTimers, name, never as never)
    }
    mock.method(process.hrtime, 'bigint', () => 0n)
    mock.method(Date, 'now', () => 0)
    const keepAlive = timers.setInterval(() => undefined, 1000)
    await pause(5)
    timers.clearInterval(keepAlive)
    assert.ok(clock.monotonicMs() > beganMs)
    assert.ok(clock.epochMs() > 1e12)
  })
})

describe('pause', () => {
  const HOUR_MS = 3_600_000

  test('ends as soon as it is no longer wanted, also when that was so before', async () => {
    const early = new AbortController()
    const paused = pause(HOUR_MS, early.signal)
    early.abort()
    await paused
    await pause(HOUR_MS, early.signal)
  })

  test('does not end before', async () => {
    let isOver = false
    const early = new AbortController()
    const paused = pause(HOUR_MS, early.signal).then(() => (isOver = true))
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(isOver, false)
    early.abort()
    await paused
  })
})
