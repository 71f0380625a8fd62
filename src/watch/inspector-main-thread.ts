import { Session } from 'node:inspector'
import type { MainThread, OrderName, Orders } from '../capture/main-thread'
import { REGISTRY_KEY } from '../dispatch/process-registry'
import type { ExitWait } from './exit-wait'

/** What our hook on the main thread answers, as JSON. */
type HookAnswer<Output> = { readonly output: Output } | { readonly error: string }

/** Orders that finish what has begun. An exiting process takes no others: a snapshot begun then would hold it up for seconds. */
const FINISHING: ReadonlySet<OrderName> = new Set(['stopPackageProfile'])

/**
 * The way to the main thread from the watchdog's.
 *
 * An order calls our hook there with `Runtime.evaluate`: V8 takes it at the next function entry or loop back edge, so it
 * reaches even a main thread that spins in a loop. One session per order, disconnected at once: an open one makes
 * `process.exit` print "Waiting for the debugger to disconnect".
 */
export class InspectorMainThread implements MainThread {
  readonly #hook: string
  readonly #exitWait: ExitWait

  /** @param hook - Name of the hook in the process registry. */
  constructor(hook: string, exitWait: ExitWait) {
    this.#hook = hook
    this.#exitWait = exitWait
  }

  /** @throws When the process is exiting. */
  connect(): Session {
    return new HoldingSession(this.#exitWait)
  }

  async order<Name extends OrderName>(
    name: Name,
    input: Orders[Name]['input'],
  ): Promise<Orders[Name]['output']> {
    if (this.#exitWait.isExiting && !FINISHING.has(name)) throw exiting()
    const session = this.connect()
    try {
      const text = await evaluate(session, this.#expression(name, input))
      const answer = JSON.parse(text) as HookAnswer<Orders[Name]['output']>
      if ('output' in answer) return answer.output
      throw new Error(answer.error)
    } finally {
      session.disconnect()
    }
  }

  #expression(name: OrderName, input: unknown): string {
    const args = [name, JSON.stringify(input)].map((arg) => JSON.stringify(arg)).join(', ')
    const key = JSON.stringify(REGISTRY_KEY)
    return `globalThis[Symbol.for(${key})].hooks.get(${JSON.stringify(this.#hook)})(${args})`
  }
}

/** A session to the main thread that an exiting process waits for. */
class HoldingSession extends Session {
  readonly #exitWait: ExitWait
  #isOpen = false

  constructor(exitWait: ExitWait) {
    super()
    this.#exitWait = exitWait
    if (!exitWait.tryHold()) throw exiting()
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

function exiting(): Error {
  return new Error('the process is exiting')
}

function evaluate(session: Session, expression: string): Promise<string> {
  return new Promise((resolve, reject) => {
    session.post('Runtime.evaluate', { expression, returnByValue: true }, (error, answer) => {
      if (error) {
        reject(error)
      } else if (answer.exceptionDetails) {
        reject(new Error(`the main thread's hook failed: ${answer.exceptionDetails.text}`))
      } else {
        resolve(String(answer.result.value))
      }
    })
  })
}
