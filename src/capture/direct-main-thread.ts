import type { MainThread } from './main-thread'
import { Promise } from '../time/globals'
import type { OrderTable } from './orders'
import { openLocalSession } from './whether-inspector'

/** The way to the main thread for a dispatcher that runs on it: orders are plain calls, sessions local ones. */
export function createDirectMainThread(orders: OrderTable): MainThread {
  return {
    connect: openLocalSession,
    // The promise's executor turns what an order throws into a rejection.
    order: (name, input) => new Promise((resolve) => resolve(orders[name](input))),
    orderNow: (name, input) => orders[name](input),
  }
}
