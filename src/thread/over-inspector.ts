import type * as inspector from 'node:inspector'
import type { Runtime, Session } from 'node:inspector'
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import { toJson } from '../base/globals'
import { ExitingError } from '../capture/capture'
import type * as carryOut from '../capture/main-thread/carry-out'
import type { MainThread, OrderName, Orders } from '../capture/main-thread/orders'
import { REGISTRY_KEY } from '../dispatch/gate'
import type { ExitWait } from './exit-wait'
import type { Turns } from './turns'

/** The hook's answer, as JSON. */
type HookAnswer<Output> = { readonly output: Output } | { readonly error: string }

/** Orders that finish a dump. An exiting process accepts no others: a snapshot would delay its exit by seconds. */
const FINISHING: ReadonlySet<OrderName> = new Set(['stopPackageProfile'])

/**
 * Access to the main thread from the watchdog thread.
 *
 * An order calls this library's hook there with `Runtime.evaluate`: V8 runs it at the next function entry or loop back
 * edge, so it reaches even a main thread that spins in a loop. Each order has a session of its own, disconnected at
 * once: an open one makes `process.exit` print "Waiting for the debugger to disconnect".
 */
export class InspectorMainThread implements MainThread {
  readonly #hook: string
  readonly #port: MessagePort
  readonly #exitWait: ExitWait
  readonly #turns: Turns
  readonly #slots = new Set<number>()

  /**
   * @param hook - Name of the hook in the process registry.
   * @param port - The watchdog's end of the channel for orders; the hook reads the other end.
   */
  constructor(hook: string, port: MessagePort, exitWait: ExitWait, turns: Turns) {
    this.#hook = hook
    this.#port = port
    this.#exitWait = exitWait
    this.#turns = turns
  }

  /** @throws ExitingError when the process is exiting. */
  connect(): Session {
    return holdingSession(this.#exitWait)
  }

  async order<Name extends OrderName>(
    name: Name,
    input: Orders[Name]['input'],
  ): Promise<Orders[Name]['output']> {
    if (this.#exitWait.isExiting && !FINISHING.has(name)) throw new ExitingError()
    const session = this.connect()
    const slot = this.#takeSlot()
    try {
      this.#port.postMessage({ slot, name, input: JSON.stringify(input) } satisfies PostedOrder)
      const text = await evaluate(session, hookCall(this.#hook, slot))
      const answer = JSON.parse(text) as HookAnswer<Orders[Name]['output']>
      if ('output' in answer) return answer.output
      throw new Error(answer.error)
    } finally {
      this.#slots.delete(slot)
      session.disconnect()
    }
  }

  turn(): Promise<number> {
    return this.#turns.next()
  }

  #takeSlot(): number {
    let slot = 0
    while (this.#slots.has(slot)) slot++
    this.#slots.add(slot)
    return slot
  }
}

/** Opens a session to the main thread for whose end an exiting process waits. */
function holdingSession(exitWait: ExitWait): Session {
  // Loaded on first use: the main thread loads this file for its hook, and may have no inspector.
  const { Session } = require('node:inspector') as typeof inspector
  const session = new Session()
  if (!exitWait.tryHold()) throw new ExitingError()
  try {
    session.connectToMainThread()
  } catch (error) {
    exitWait.release()
    throw error
  }
  const disconnect = session.disconnect.bind(session)
  let isOpen = true
  session.disconnect = () => {
    disconnect()
    if (isOpen) exitWait.release()
    isOpen = false
  }
  return session
}

function evaluate(session: Session, expression: string): Promise<string> {
  return new Promise((resolve, reject) => {
    session.post('Runtime.evaluate', { expression, returnByValue: true }, (error, answer) => {
      if (error) {
        reject(error)
      } else if (answer.exceptionDetails) {
        reject(new Error(`the main thread's hook failed: ${causeOf(answer.exceptionDetails)}`))
      } else {
        resolve(String(answer.result.value))
      }
    })
  })
}

/** Text of an exception. `text` alone is the bare word "Uncaught". */
export function causeOf({ text, exception }: Runtime.ExceptionDetails): string {
  const value =
    exception?.description ?? (exception && 'value' in exception ? String(exception.value) : undefined)
  return value === undefined ? text : (value.split('\n', 1)[0] ?? text)
}

/** An order that has been posted to the main thread. */
export interface PostedOrder {
  /** Number of the order among those under way, from 0. Free again when the order is answered. */
  readonly slot: number
  readonly name: OrderName
  /** Input of the order, as JSON. */
  readonly input: string
}

/**
 * Creates the hook on the main thread, which carries out the order that was posted for a slot, and returns the answer
 * as JSON. The hook never throws.
 *
 * @param orders - Builds the orders, when the first one arrives.
 * @param port - The main thread's end of the channel for orders. The hook reads it synchronously: it interrupts the
 * main thread, whose event loop may be blocked.
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
 * The expression by which the inspector calls the hook. V8 keeps the text of every expression it has evaluated, for the
 * life of the process. So the order itself is sent through the port, and there are only as many texts as slots.
 */
export function hookCall(hook: string, slot: number): string {
  return `globalThis[Symbol.for(${toJson(REGISTRY_KEY)})].hooks.get(${toJson(hook)})(${slot})`
}
