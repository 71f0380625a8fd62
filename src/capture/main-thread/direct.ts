import { Promise } from '../../base/globals'
import { monotonicMs, pause } from '../../base/time'
import type { OrderTable } from './carry-out'
import { openLocalSession } from './local-session'
import type { MainThread } from './orders'

/** Access to the main thread for a dispatcher that runs on it: orders are plain calls, sessions are local. */
export function createDirectMainThread(orders: OrderTable): MainThread {
  return {
    connect: openLocalSession,
    // The promise's executor turns what an order throws into a rejection.
    order: (name, input) => new Promise((resolve) => resolve(orders[name](input))),
    orderNow: (name, input) => orders[name](input),
    turn: () => pause(1).then(monotonicMs),
  }
}
