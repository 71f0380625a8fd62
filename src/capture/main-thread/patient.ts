import { ownOnly, Promise } from '../../base/globals'
import { clearTimeout, monotonicMs, setTimeout } from '../../base/time'
import type { MainThread, OrderName, Orders } from './orders'

/** Time after which an order (a request to the main thread) that has no answer yet is reported as late, ms. */
export const ORDER_TIMEOUT_MS = 500
/** Longest wait for the answer to an order (a request to the main thread), ms. After it the order counts as failed. */
export const ORDER_DEADLINE_MS = 120_000

/** Limits of the wait for one answer of the main thread. */
export interface OrderWait<Output> {
  /** Aborted when the dump is to end early: the wait then fails if no answer comes within another 500 ms. */
  readonly early?: AbortSignal
  /**
   * Longest wait for the answer, ms. Set for an order that always takes long: such an order is never reported as late.
   *
   * @default {@link ORDER_DEADLINE_MS}
   */
  readonly deadlineMs?: number
  /** Undoes an order that the main thread carried out only after the wait for it had failed. Gets the order's output. */
  readonly onTooLate?: (output: Output) => void
}

/**
 * Access to the main thread with time limits: an order (request) that is answered late is reported, and the wait for its answer
 * ends at a deadline.
 */
export interface PatientMainThread extends Pick<MainThread, 'connect' | 'orderNow' | 'turn'> {
  /**
   * Runs one order (request) on the main thread.
   *
   * @throws The order's own error; without an answer in time, an Error with the order's name and the time waited in ms.
   */
  order<Name extends OrderName>(
    name: Name,
    input: Orders[Name]['input'],
    wait?: OrderWait<Orders[Name]['output']>,
  ): Promise<Orders[Name]['output']>
  /** Waits, with the same limits, for an answer of the main thread to a call that is no order, such as an inspector call. */
  answer<Output>(name: string, answer: Promise<Output>, wait?: OrderWait<Output>): Promise<Output>
}

/**
 * Wraps the access to the main thread, so that each wait for the answer to an order (request) has a time limit.
 *
 * @param onLate - Called once for each order that has no answer after 500 ms, unless it has a `deadlineMs` of its own. The
 * wait goes on.
 */
export function patient(mainThread: MainThread, onLate: (order: string) => void): PatientMainThread {
  const { orderNow } = mainThread
  return {
    connect: () => mainThread.connect(),
    turn: () => mainThread.turn(),
    orderNow,
    order: async (name, input, wait = {}) => waitForAnswer(name, mainThread.order(name, input), wait, onLate),
    answer: (name, answer, wait = {}) => waitForAnswer(name, answer, wait, onLate),
  }
}

async function waitForAnswer<Output>(
  name: string,
  answer: Promise<Output>,
  wait: OrderWait<Output>,
  onLate: (order: string) => void,
): Promise<Output> {
  const { early, deadlineMs, onTooLate } = ownOnly(wait)
  const startedAtMs = monotonicMs()
  const timers: NodeJS.Timeout[] = []
  const after = (ms: number, then: () => void): void => void timers.push(setTimeout(then, ms).unref())
  let hurry = (): void => {}
  try {
    return await new Promise<Output>((resolve, reject) => {
      const giveUp = (): void => {
        const waitedMs = Math.round(monotonicMs() - startedAtMs)
        reject(new Error(`the main thread did not answer the call ${name} within ${waitedMs} ms`))
        answer.then(onTooLate).catch(() => {})
      }
      hurry = () => after(ORDER_TIMEOUT_MS, giveUp)
      if (deadlineMs === undefined) after(ORDER_TIMEOUT_MS, () => onLate(name))
      after(deadlineMs ?? ORDER_DEADLINE_MS, giveUp)
      if (early?.aborted) hurry()
      else early?.addEventListener('abort', hurry)
      answer.then(resolve, reject)
    })
  } finally {
    for (const timer of timers) clearTimeout(timer)
    early?.removeEventListener('abort', hurry)
  }
}
