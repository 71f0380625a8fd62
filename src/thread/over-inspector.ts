import type * as inspector from 'node:inspector'
import type { Runtime, Session } from 'node:inspector'
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import { toJson } from '../base/globals'
import { isLoadingLate, loadLate } from '../base/late'
import { pause } from '../base/time'
import { ExitingError } from '../capture/capture'
import type * as carryOut from '../capture/main-thread/carry-out'
import type { MainThread, OrderName, Orders } from '../capture/main-thread/orders'
import { REGISTRY_KEY } from '../dispatch/gate'
import type { ExitWait } from './exit-wait'
import type { Turns } from './turns'

/** The main thread's answer to an order (call of a function on the main thread), before it is turned into JSON. */
type HookAnswer<Output> =
  | { readonly output: Output }
  | { readonly error: string }
  /** The main thread was interrupted while it loaded this library's code, so the order was not run. It must be tried again. */
  | { readonly isLoading: true }

/** Time after which an order is tried again because the main thread was loading code, ms. Loading takes about 5 ms. */
const SEND_AGAIN_MS = 20
const MOST_SENDINGS = 100

/** Orders (calls on the main thread) that finish a dump. At exit, no others are sent: a snapshot would delay it by seconds. */
const FINISHING: ReadonlySet<OrderName> = new Set(['stopPackageProfile'])

/**
 * Lets the watchdog thread call functions of this library on the main thread. Such a call is named an order.
 *
 * An order is sent with the inspector's `Runtime.evaluate`. V8 runs it at the next function entry or loop back edge, so it
 * also reaches a main thread that spins in a loop. Each order opens its own session and closes it at once, because an open
 * session makes `process.exit` print "Waiting for the debugger to disconnect".
 */
export class InspectorMainThread implements MainThread {
  readonly #hook: string
  readonly #port: MessagePort
  readonly #exitWait: ExitWait
  readonly #turns: Turns
  readonly #slots = new Set<number>()

  /**
   * @param hook - Name, in the process registry, of the main thread's function (hook) that runs the orders.
   * @param port - The end of the message channel to which orders are posted. The hook reads the other end.
   */
  constructor(hook: string, port: MessagePort, exitWait: ExitWait, turns: Turns) {
    this.#hook = hook
    this.#port = port
    this.#exitWait = exitWait
    this.#turns = turns
  }

  /** @throws ExitingError when the process is exiting, except for a dump that began before and for which the exit still waits. */
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
      for (let sendings = 1; ; sendings++) {
        const text = await evaluate(session, hookCall(this.#hook, slot))
        const answer = JSON.parse(text) as HookAnswer<Orders[Name]['output']>
        if ('output' in answer) return answer.output
        if ('error' in answer) throw new Error(answer.error)
        if (sendings === MOST_SENDINGS)
          throw new Error(
            `the main thread was still loading the monitor's code after ${MOST_SENDINGS} tries to order ${name}`,
          )
        await pause(SEND_AGAIN_MS)
      }
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

/** Opens an inspector session to the main thread. An exiting process waits until it is closed. */
function holdingSession(exitWait: ExitWait): Session {
  // Loaded here, not imported above: the main thread also loads this file, in a Node that may have no inspector.
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
        reject(new Error(`the monitor's call on the main thread failed: ${causeOf(answer.exceptionDetails)}`))
      } else {
        resolve(String(answer.result.value))
      }
    })
  })
}

/** Returns the first line of an exception's text. The field `text` is often the bare word "Uncaught". */
export function causeOf({ text, exception }: Runtime.ExceptionDetails): string {
  const value =
    exception?.description ?? (exception && 'value' in exception ? String(exception.value) : undefined)
  return value === undefined ? text : (value.split('\n', 1)[0] ?? text)
}

/** Message that asks the main thread to run a function of this library. */
export interface PostedOrder {
  /** Number of the order, from 0. An answered order's number is used again. */
  readonly slot: number
  readonly name: OrderName
  /** Input of the order, as JSON. */
  readonly input: string
}

/**
 * Creates the function that the watchdog thread calls on the main thread through the inspector. It runs the order that was
 * posted with the given slot number, and returns the answer as JSON. It never throws.
 *
 * @param orders - Returns the functions that carry out orders, by the name of the order. Called once for each order.
 * @param port - The main thread's end of the channel for orders. It is read synchronously, because the event loop may be
 * blocked.
 */
export function createOrderHook(
  orders: () => carryOut.OrderTable,
  port: MessagePort,
): (slot: number) => string {
  const posted = new Map<number, PostedOrder>()
  return (slot) => {
    let mail: { message: PostedOrder } | undefined
    while ((mail = receiveMessageOnPort(port) as typeof mail)) posted.set(mail.message.slot, mail.message)
    if (isLoadingLate()) return toJson({ isLoading: true })
    const order = posted.get(slot)
    posted.delete(slot)
    if (!order) return toJson({ error: 'the request to the main thread did not arrive' })
    const { runOrder } = loadLate(() => require('../capture/main-thread/carry-out') as typeof carryOut)
    return runOrder(orders(), order.name, order.input)
  }
}

/**
 * Returns the JavaScript expression with which the inspector calls the hook, the main thread's function that runs orders. V8
 * keeps the text of each evaluated expression until the process ends. So the expression holds only the name of the hook and the
 * number (slot) of the order, and the order itself is sent through a message port.
 */
export function hookCall(hook: string, slot: number): string {
  return `globalThis[Symbol.for(${toJson(REGISTRY_KEY)})].hooks.get(${toJson(hook)})(${slot})`
}
