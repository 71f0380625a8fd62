import { Promise } from '../../base/globals'
import { monotonicMs, pause } from '../../base/time'
import type { OrderTable } from './carry-out'
import { openLocalSession } from './local-session'
import type { MainThread } from './orders'

/**
 * Returns the access to the main thread for code that runs on the main thread itself. An order (a request to the main
 * thread) is then a plain function call, and an inspector session connects to the calling thread.
 */
export function createDirectMainThread(orders: OrderTable): MainThread {
  return {
    connect: openLocalSession,
    // Inside the promise's executor, an error that the order throws becomes a rejection.
    order: (name, input) => new Promise((resolve) => resolve(orders[name](input))),
    orderNow: (name, input) => orders[name](input),
    turn: () => pause(1).then(monotonicMs),
  }
}
