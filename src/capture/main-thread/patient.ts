import { ownOnly, Promise } from '../../base/globals'
import { clearTimeout, monotonicMs, setTimeout } from '../../base/time'
import type { MainThread, OrderName, Orders } from './orders'

/** Time that the main thread has to accept an order (request) before the order is reported as late, ms. */
export const ORDER_TIMEOUT_MS = 500
/** Longest wait for the answer to an order (request to the main thread), ms. After it the capture fails. */
export const ORDER_DEADLINE_MS = 120_000

/** How to wait for one answer of the main thread. */
export interface OrderWait<Output> {
  /** Aborted when the dump is to end early: the wait then fails if no answer comes within {@link ORDER_TIMEOUT_MS}. */
  readonly early?: AbortSignal
  /**
   * Longest wait for the answer, ms. Set for an order that always takes long: such an order is never reported as late.
   *
   * @default {@link ORDER_DEADLINE_MS}
   */
  readonly deadlineMs?: number
  /** Called with the output of an order that the main thread carried out after the wait for it had failed: to undo it. */
  readonly onTooLate?: (output: Output) => void
}

/** Access to the main thread that limits each wait: a late order (request) is reported, and abandoned at its deadline. */
export interface PatientMainThread extends Pick<MainThread, 'connect' | 'orderNow' | 'turn'> {
  /**
   * Runs one order (request) on the main thread.
   *
   * @throws The order's own error, or an Error with the order's name and the time waited in ms.
   */
  order<Name extends OrderName>(
    name: Name,
    input: Orders[Name]['input'],
    wait?: OrderWait<Orders[Name]['output']>,
  ): Promise<Orders[Name]['output']>
  /** Waits for another answer of the main thread, such as that of an inspector session, with the same limits. */
  answer<Output>(name: string, answer: Promise<Output>, wait?: OrderWait<Output>): Promise<Output>
}

/**
 * Wraps the access to the main thread, so that each wait for an order (request) has a time limit.
 *
 * @param onLate - Called once for each order that is not accepted within 500 ms; the wait goes on.
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
