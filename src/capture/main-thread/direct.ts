import { Promise } from '../../base/globals'
import { monotonicMs, pause } from '../../base/time'
import type { OrderTable } from './carry-out'
import { openLocalSession } from './local-session'
import type { MainThread } from './orders'

/** Access to the main thread for code that runs on the main thread: orders (requests) are plain calls, sessions local. */
export function createDirectMainThread(orders: OrderTable): MainThread {
  return {
    connect: openLocalSession,
    // Inside the promise's executor, an error that the order throws becomes a rejection.
    order: (name, input) => new Promise((resolve) => resolve(orders[name](input))),
    orderNow: (name, input) => orders[name](input),
    turn: () => pause(1).then(monotonicMs),
  }
}
