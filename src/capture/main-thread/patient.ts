import { ownOnly, Promise } from '../../base/globals'
import { clearTimeout, monotonicMs, setTimeout } from '../../base/time'
import type { MainThread, OrderName, Orders } from './orders'

/** Longest time that the main thread may take to accept an order before the order is reported as late, ms. */
export const ORDER_TIMEOUT_MS = 500
/** Longest wait for an order in all, ms. After it the capture fails. */
export const ORDER_DEADLINE_MS = 120_000

/** How to wait for one answer of the main thread. */
export interface OrderWait<Output> {
  /** Aborted when the order is no longer worth waiting for: it is then given {@link ORDER_TIMEOUT_MS} more. */
  readonly early?: AbortSignal
  /**
   * Deadline of an order that takes long by nature, and so is never reported as late, ms.
   *
   * @default {@link ORDER_DEADLINE_MS}
   */
  readonly deadlineMs?: number
  /** Called if the main thread carries the order out after it was abandoned, to undo it. */
  readonly onTooLate?: (output: Output) => void
}

/** The main thread, as the capturers use it: late orders are reported, and abandoned at their deadline. */
export interface PatientMainThread extends Pick<MainThread, 'connect' | 'orderNow' | 'turn'> {
  /** @throws The order's own error, or an Error with the order's name and the time that was waited. */
  order<Name extends OrderName>(
    name: Name,
    input: Orders[Name]['input'],
    wait?: OrderWait<Orders[Name]['output']>,
  ): Promise<Orders[Name]['output']>
  /** Waits likewise for an answer that does not come from an order, such as that of an inspector session. */
  answer<Output>(name: string, answer: Promise<Output>, wait?: OrderWait<Output>): Promise<Output>
}

/**
 * Decides, for all orders, how long to wait for the main thread.
 *
 * @param onLate - Called once for each order that is late; the wait goes on.
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
        reject(new Error(`the main thread did not answer ${name} within ${waitedMs} ms`))
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
