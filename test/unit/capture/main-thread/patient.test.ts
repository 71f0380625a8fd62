import assert from 'node:assert/strict'
import { after, describe, it, mock } from 'node:test'
import type { MainThread } from '../../../../src/capture/main-thread/orders'
import { ORDER_DEADLINE_MS, ORDER_TIMEOUT_MS, patient } from '../../../../src/capture/main-thread/patient'

const NEVER = new Promise<never>(() => {})

/** A main thread whose answer to every order is the one given. */
const answering = (answer: Promise<unknown>) => {
  const late: string[] = []
  const mainThread = { connect: () => {}, order: () => answer } as unknown as MainThread
  return { late, mainThread: patient(mainThread, (order) => late.push(order)) }
}

describe('a patient main thread', () => {
  // Its timers keep no process alive, and so not this one either.
  const keepAlive = setInterval(() => {}, 1000)
  after(() => clearInterval(keepAlive))

  it('has the promised limits', () => {
    assert.equal(ORDER_TIMEOUT_MS, 500)
    assert.equal(ORDER_DEADLINE_MS, 120_000)
  })

  it('passes an answer on, and does not report an order in time', async () => {
    const { late, mainThread } = answering(Promise.resolve({ usedBytes: 7 }))
    assert.deepEqual(await mainThread.order('heapStatistics', {}), { usedBytes: 7 })
    assert.equal(await mainThread.answer('Profiler.start', Promise.resolve(7)), 7)
    assert.deepEqual(late, [])
  })

  it("passes the order's own error on", async () => {
    const { mainThread } = answering(Promise.reject(new Error('no')))
    await assert.rejects(mainThread.order('stopSampling', {}), { message: 'no' })
  })

  it('reports an order once when it is late, and goes on waiting for its answer', async () => {
    let answer: (n: number) => void = () => {}
    const pending = new Promise<number>((resolve) => (answer = resolve))
    const late: string[] = []
    const mainThread = patient({ order: () => NEVER } as unknown as MainThread, (order) => {
      late.push(order)
      answer(3)
    })
    assert.equal(await mainThread.answer('Profiler.start', pending), 3)
    assert.deepEqual(late, ['Profiler.start'])
  })

  it('gives an order up at its deadline, names it, and does not report one with a deadline of its own as late', async () => {
    const { late, mainThread } = answering(NEVER)
    const deadlineMs = ORDER_TIMEOUT_MS + 20
    await assert.rejects(
      mainThread.order('stopSampling', {}, { deadlineMs }),
      /did not answer the call stopSampling within \d+ ms/,
    )
    assert.deepEqual(late, [])
  })

  it('gives an order up though the application has put timers that never fire in the place of the global ones', async (t) => {
    t.after(() => mock.restoreAll())
    mock.method(globalThis, 'setTimeout', (() => ({ unref: () => {} })) as never)
    const { mainThread } = answering(NEVER)
    await assert.rejects(mainThread.order('stopSampling', {}, { deadlineMs: 20 }), /did not answer/)
  })

  it('gives up soon once the answer is no longer needed, before or after it began to wait', async () => {
    const { mainThread } = answering(NEVER)
    const early = AbortSignal.abort()
    await assert.rejects(mainThread.order('stopSampling', {}, { early }), /did not answer the call/)
    const later = new AbortController()
    const waiting = mainThread.order('stopSampling', {}, { early: later.signal })
    later.abort()
    await assert.rejects(waiting, /did not answer the call stopSampling/)
  })

  it('hands over the output of an order that was carried out after it was given up, and of no other', async () => {
    let answer: (output: object) => void = () => {}
    const { mainThread } = answering(new Promise((resolve) => (answer = resolve)))
    const undone: unknown[] = []
    const onTooLate = (output: unknown): void => void undone.push(output)
    await assert.rejects(mainThread.order('stopSampling', {}, { deadlineMs: 1, onTooLate }))
    answer({ late: true })
    await new Promise(setImmediate)
    assert.deepEqual(undone, [{ late: true }])
    const inTime = answering(Promise.resolve({}))
    await inTime.mainThread.order('stopSampling', {}, { onTooLate })
    assert.equal(undone.length, 1)
  })
})
