import { monotonicMs } from '../../base/clock'
import { Promise } from '../../base/globals'
import { clearTimeout, setTimeout } from '../../base/timers'

/** Longest time that the main thread may take to accept an order before it is said to be late, ms. */
export const ORDER_TIMEOUT_MS = 500
/** Longest time that an order is waited for in all, ms. Then the capture fails; nothing hangs. */
export const ORDER_DEADLINE_MS = 120_000

/** How long to wait for the main thread. */
export interface Patience {
  /** @default {@link ORDER_TIMEOUT_MS} */
  readonly orderTimeoutMs: number
  /** @default {@link ORDER_DEADLINE_MS} */
  readonly deadlineMs: number
  /** Told once when an order is late; the waiting goes on. */
  readonly onLate: (order: string) => void
}

/**
 * Waits for the answer to an order: says so when it is late, gives it up at the deadline.
 *
 * @param haste - Aborted when the order is no longer worth waiting for: it then has one more order timeout.
 * @throws The order's own error, or an Error that names the order and says how long was waited.
 */
export async function waitPatiently<T>(
  order: string,
  answer: Promise<T>,
  { orderTimeoutMs, deadlineMs, onLate }: Patience,
  haste?: AbortSignal,
): Promise<T> {
  const startedAtMs = monotonicMs()
  const timers: NodeJS.Timeout[] = []
  const after = (ms: number, then: () => void): void => void timers.push(setTimeout(then, ms).unref())
  let hurry = (): void => {}
  try {
    return await new Promise<T>((resolve, reject) => {
      const giveUp = (): void => {
        const waitedMs = Math.round(monotonicMs() - startedAtMs)
        reject(new Error(`the main thread did not answer ${order} within ${waitedMs} ms`))
      }
      hurry = () => after(orderTimeoutMs, giveUp)
      after(orderTimeoutMs, () => onLate(order))
      after(deadlineMs, giveUp)
      if (haste?.aborted) hurry()
      else haste?.addEventListener('abort', hurry)
      answer.then(resolve, reject)
    })
  } finally {
    for (const timer of timers) clearTimeout(timer)
    haste?.removeEventListener('abort', hurry)
  }
}
