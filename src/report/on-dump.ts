import { Promise } from '../base/globals'
import { clearTimeout, setTimeout } from '../base/time'
import type { Failure } from '../dispatch/events'

/** Time within which a call of the option `onDump` must settle, ms. After that time the call counts as failed. */
export const ON_DUMP_DEADLINE_MS = 60_000

/** Key of a property of an `onDump` function that a copy of this package has made: the function that starts it. */
export const BEGIN = Symbol.for('cpu-memory-monitor:begin')

/** Key of a property of an `onDump` function that a copy of this package has made: a text that says where dumps are sent. */
export const DESTINATION = Symbol.for('cpu-memory-monitor:destination')

/** Argument of the start function of an `onDump` function that this package made. */
export interface Surroundings {
  /** Directories that the monitor writes to, absolute. */
  readonly directories: readonly string[]
  readonly report: { info(line: string): void; failure(failure: Failure): void }
}

/** The function in the option `onDump`. If this package made it, as `uploadTo()` does, the monitor also starts and stops it. */
export type OnDump<Dump> = ((dump: Dump) => unknown) & {
  /** Called when the monitor has started. @returns A function to call when the monitor stops; it must not throw. */
  readonly [BEGIN]?: (surroundings: Surroundings) => () => void
  /** Where dumps are sent, in words without a secret. */
  readonly [DESTINATION]?: string
}

/**
 * Calls the option `onDump`. If a call throws, rejects or does not settle before its deadline, this is reported as a
 * failure, and neither the monitor nor the process is affected.
 */
export class DumpHook<Dump> {
  readonly #onDump: OnDump<Dump>
  readonly #onFailed: (error: unknown) => void
  readonly #calls = new Set<Promise<void>>()
  readonly #deadlineMs: number
  #end: (() => void) | undefined

  /** @param onFailed - Called with the error of each failed call. Must not throw. */
  constructor(
    onDump: OnDump<Dump>,
    onFailed: (error: unknown) => void,
    deadlineMs: number = ON_DUMP_DEADLINE_MS,
  ) {
    this.#onDump = onDump
    this.#onFailed = onFailed
    this.#deadlineMs = deadlineMs
  }

  /** Starts the `onDump` function, if this package made it. Called when the monitor has started. Never throws. */
  begin(surroundings: Surroundings): void {
    try {
      this.#end = this.#onDump[BEGIN]?.(surroundings)
    } catch (error) {
      this.#onFailed(error)
    }
  }

  /** Stops the `onDump` function, if {@link begin} has started it. Called when the monitor has stopped. */
  end(): void {
    this.#end?.()
    this.#end = undefined
  }

  /** Calls `onDump`. Never throws, and does not keep the process alive. */
  call(dump: Dump): void {
    const call = this.#run(dump)
    this.#calls.add(call)
    void call.then(() => this.#calls.delete(call))
  }

  /** Resolves when all calls have settled or are past their deadline. */
  async settled(): Promise<void> {
    while (this.#calls.size > 0) await Promise.all(this.#calls)
  }

  async #run(dump: Dump): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    try {
      const late = new Promise<never>((_resolve, reject) => {
        const message = `the call has not settled within ${this.#deadlineMs} ms`
        timer = setTimeout(() => reject(new Error(message)), this.#deadlineMs).unref()
      })
      await Promise.race([Promise.resolve(this.#onDump(dump)), late])
    } catch (error) {
      this.#onFailed(error)
    } finally {
      clearTimeout(timer)
    }
  }
}
