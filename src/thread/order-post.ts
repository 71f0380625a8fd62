import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import { toJson } from '../base/globals'
import type * as carryOut from '../capture/main-thread/carry-out'
import type { OrderName } from '../capture/main-thread/orders'
import { REGISTRY_KEY } from '../dispatch/process-registry'

/** An order on its way to the main thread. */
export interface PostedOrder {
  /** Number of the order among those under way, from 0. Free again when the order is answered. */
  readonly slot: number
  readonly name: OrderName
  /** JSON. */
  readonly input: string
}

/**
 * The hook on the main thread: carries out the order that was posted for a slot. Returns the answer as JSON, never throws.
 *
 * @param orders - Builds the orders, when the first one arrives.
 * @param port - The main thread's end of the channel for orders. It is read by hand: an order interrupts the main thread, whose
 * event loop may not turn.
 */
export function createOrderHook(
  orders: () => carryOut.OrderTable,
  port: MessagePort,
): (slot: number) => string {
  const posted = new Map<number, PostedOrder>()
  return (slot) => {
    let mail: { message: PostedOrder } | undefined
    while ((mail = receiveMessageOnPort(port) as typeof mail)) posted.set(mail.message.slot, mail.message)
    const order = posted.get(slot)
    posted.delete(slot)
    if (!order) return toJson({ error: 'the order did not arrive' })
    const { runOrder } = require('../capture/main-thread/carry-out') as typeof carryOut
    return runOrder(orders(), order.name, order.input)
  }
}

/**
 * The expression by which the inspector calls the hook. V8 keeps the text of every expression it has evaluated, for the life of
 * the process. So the order itself travels over the port, and there is one text per slot.
 */
export function hookCall(hook: string, slot: number): string {
  return `globalThis[Symbol.for(${toJson(REGISTRY_KEY)})].hooks.get(${toJson(hook)})(${slot})`
}
