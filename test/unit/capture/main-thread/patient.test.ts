import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  ORDER_DEADLINE_MS,
  ORDER_TIMEOUT_MS,
  waitPatiently,
} from '../../../../src/capture/main-thread/patient'

const NEVER = new Promise<never>(() => {})

describe('waitPatiently', () => {
  // Its own timers hold no process, and so not this one either.
  const keepAlive = setInterval(() => {}, 1000)
  it('has the promised limits', () => {
    assert.equal(ORDER_TIMEOUT_MS, 500)
    assert.equal(ORDER_DEADLINE_MS, 120_000)
  })

  it('passes an answer on, and says nothing about one in time', async () => {
    const late: string[] = []
    const patience = {
      orderTimeoutMs: 30_000,
      deadlineMs: 60_000,
      onLate: (order: string) => late.push(order),
    }
    assert.equal(await waitPatiently('ping', Promise.resolve(7), patience), 7)
    assert.deepEqual(late, [])
  })

  it('gives an order up though the application has put timers that never fire in the place of the global ones', async (t) => {
    t.after(() => mock.restoreAll())
    mock.method(globalThis, 'setTimeout', (() => ({ unref: () => {} })) as never)
    const late: string[] = []
    const patience = { orderTimeoutMs: 1, deadlineMs: 20, onLate: (order: string) => late.push(order) }
    await assert.rejects(waitPatiently('ping', NEVER, patience), /did not answer ping/)
    assert.deepEqual(late, ['ping'])
  })

  it("passes the order's own error on", async () => {
    const patience = { orderTimeoutMs: 30_000, deadlineMs: 60_000, onLate: () => {} }
    await assert.rejects(waitPatiently('ping', Promise.reject(new Error('no')), patience), { message: 'no' })
  })

  it('says once that an order is late, and goes on waiting for its answer', async () => {
    const late: string[] = []
    let answer: (n: number) => void = () => {}
    const pending = new Promise<number>((resolve) => (answer = resolve))
    const said = new Promise<void>((resolve) => {
      const onLate = (order: string): void => {
        late.push(order)
        resolve()
      }
      void waitPatiently('start', pending, { orderTimeoutMs: 1, deadlineMs: 60_000, onLate }).then((n) => {
        late.push(`answered ${n}`)
      })
    })
    await said
    answer(3)
    await sleep(1)
    assert.deepEqual(late, ['start', 'answered 3'])
  })

  it('gives up at the deadline, naming the order', async () => {
    const patience = { orderTimeoutMs: 1, deadlineMs: 2, onLate: () => {} }
    await assert.rejects(
      waitPatiently('Profiler.stop', NEVER, patience),
      /did not answer Profiler\.stop within \d+ ms/,
    )
  })

  it('gives up soon once nobody needs the answer any more, before or after it began to wait', async () => {
    const patience = { orderTimeoutMs: 1, deadlineMs: 60_000, onLate: () => {} }
    await assert.rejects(waitPatiently('start', NEVER, patience, AbortSignal.abort()), /did not answer start/)
    const haste = new AbortController()
    const waiting = waitPatiently('start', NEVER, patience, haste.signal)
    haste.abort()
    await assert.rejects(waiting, /did not answer start/)
    clearInterval(keepAlive)
  })
})
