import { type Runtime, Session } from 'node:inspector'
import type { MessagePort } from 'node:worker_threads'
import { ExitingError } from '../capture/capture'
import type { MainThread, OrderName, Orders } from '../capture/main-thread/orders'
import type { ExitWait } from './exit-wait'
import { hookCall, type PostedOrder } from './order-post'
import type { Turns } from './turns'

/** The hook's answer, as JSON. */
type HookAnswer<Output> = { readonly output: Output } | { readonly error: string }

/** Orders that finish a dump. An exiting process takes no others: a snapshot begun then would delay the exit by seconds. */
const FINISHING: ReadonlySet<OrderName> = new Set(['stopPackageProfile'])

/**
 * The way from the watchdog's thread to the main thread.
 *
 * An order calls our hook there with `Runtime.evaluate`: V8 takes it at the next function entry or loop back edge, so it
 * reaches even a main thread that spins in a loop. One session per order, disconnected at once: an open one makes
 * `process.exit` print "Waiting for the debugger to disconnect".
 */
export class InspectorMainThread implements MainThread {
  readonly #hook: string
  readonly #port: MessagePort
  readonly #exitWait: ExitWait
  readonly #turns: Turns
  readonly #slots = new Set<number>()

  /**
   * @param hook - Name of the hook in the process registry.
   * @param port - The end of the channel for orders whose other end the hook reads.
   */
  constructor(hook: string, port: MessagePort, exitWait: ExitWait, turns: Turns) {
    this.#hook = hook
    this.#port = port
    this.#exitWait = exitWait
    this.#turns = turns
  }

  /** @throws ExitingError when the process is exiting. */
  connect(): Session {
    return new HoldingSession(this.#exitWait)
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

/** A session to the main thread that an exiting process waits for. */
class HoldingSession extends Session {
  readonly #exitWait: ExitWait
  #isOpen = false

  constructor(exitWait: ExitWait) {
    super()
    this.#exitWait = exitWait
    if (!exitWait.tryHold()) throw new ExitingError()
    try {
      this.connectToMainThread()
    } catch (error) {
      exitWait.release()
      throw error
    }
    this.#isOpen = true
  }

  override disconnect(): void {
    super.disconnect()
    if (this.#isOpen) this.#exitWait.release()
    this.#isOpen = false
  }
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

/** `text` alone is the bare word "Uncaught". */
export function causeOf({ text, exception }: Runtime.ExceptionDetails): string {
  const value =
    exception?.description ?? (exception && 'value' in exception ? String(exception.value) : undefined)
  return value === undefined ? text : (value.split('\n', 1)[0] ?? text)
}
