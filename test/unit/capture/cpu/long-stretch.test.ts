import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { monotonicMs } from '../../../../src/base/time'
import {
  LONG_STRETCH_MS,
  SHORT_STRETCH_MS,
  type TurningThread,
  waitForLongStretch,
} from '../../../../src/capture/cpu/long-stretch'

const NEVER = new Promise<number>(() => {})
const laterMs = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** What the wait comes to if it is ended after `ms`. */
async function seen(thread: TurningThread, ms: number): Promise<boolean> {
  const end = new AbortController()
  const seen = waitForLongStretch(thread, end.signal)
  await Promise.race([seen, laterMs(ms)])
  end.abort()
  return seen
}

/** A thread whose loop turns each time after that much work. */
function turning(workMs: number): TurningThread {
  let cpuMs = 0
  return { turn: () => Promise.resolve(monotonicMs() + workMs), cpuMs: () => (cpuMs += workMs) }
}

describe('waitForLongStretch', () => {
  // The waiting keeps no thread alive, and so not this one either.
  const keepAlive = setInterval(() => {}, 1000)
  after(() => clearInterval(keepAlive))

  it('sees a thread that works and does not turn', async () => {
    assert.equal(await seen({ turn: () => NEVER, cpuMs: monotonicMs }, 60_000), true)
  })

  it('sees a stretch that has ended when the look comes', async () => {
    assert.equal(await seen(turning(LONG_STRETCH_MS + SHORT_STRETCH_MS), 60_000), true)
  })

  it('sees many stretches of which none is long enough by itself', async () => {
    assert.equal(await seen(turning(SHORT_STRETCH_MS + 10), 60_000), true)
  })

  it('does not see many short ones', async () => {
    assert.equal(await seen(turning(SHORT_STRETCH_MS - 1), 400), false)
  })

  it('does not see a thread that turns, however much it works', async () => {
    let cpuMs = 0
    const turn = () => Promise.resolve(monotonicMs())
    assert.equal(await seen({ turn, cpuMs: () => (cpuMs += 1000) }, 200), false)
  })

  it('does not see a thread that waits for a CPU', async () => {
    assert.equal(await seen({ turn: () => NEVER, cpuMs: () => 7 }, 200), false)
  })

  it('goes by the clock where the system shows no CPU time', async () => {
    assert.equal(await seen({ turn: () => NEVER, cpuMs: () => undefined }, 60_000), true)
  })

  it('ends with its signal', async () => {
    assert.equal(await waitForLongStretch({ turn: () => NEVER, cpuMs: () => 7 }, AbortSignal.abort()), false)
  })
})
