import { Promise } from '../base/globals'
import { clearTimeout, setTimeout } from '../base/time'
import type { Failure } from '../dispatch/events'

/** Deadline of a call of `onDump`, ms. */
export const ON_DUMP_DEADLINE_MS = 60_000

/** Key of {@link OnDump}'s own beginning; the same for all copies of the package. */
export const BEGIN = Symbol.for('cpu-memory-monitor:begin')

/** Key of the place that {@link OnDump} sends dumps to; the same for all copies of the package. */
export const DESTINATION = Symbol.for('cpu-memory-monitor:destination')

/** What an {@link OnDump} of this package learns of the monitor that calls it. */
export interface Surroundings {
  /** Directories that the monitor writes to, absolute. */
  readonly directories: readonly string[]
  readonly report: { info(line: string): void; failure(failure: Failure): void }
}

/** A function that is called with each dump. One of this package's own also learns of the start and the end of the monitor. */
export type OnDump<Dump> = ((dump: Dump) => unknown) & {
  /** @returns Ends what it has begun. Must not throw. */
  readonly [BEGIN]?: (surroundings: Surroundings) => () => void
  /** Where dumps are sent, in words without a secret. */
  readonly [DESTINATION]?: string
}

/**
 * Calls `onDump`, and keeps its errors away from the monitor and the process: an error, a rejection, or a call past its
 * deadline is a failure of that call alone.
 */
export class DumpHook<Dump> {
  readonly #onDump: OnDump<Dump>
  readonly #onFailed: (error: unknown) => void
  readonly #calls = new Set<Promise<void>>()
  readonly #deadlineMs: number
  #end: (() => void) | undefined

  /** @param onFailed - Called with each such failure. Must not throw. */
  constructor(
    onDump: OnDump<Dump>,
    onFailed: (error: unknown) => void,
    deadlineMs: number = ON_DUMP_DEADLINE_MS,
  ) {
    this.#onDump = onDump
    this.#onFailed = onFailed
    this.#deadlineMs = deadlineMs
  }

  /** Never throws. */
  begin(surroundings: Surroundings): void {
    try {
      this.#end = this.#onDump[BEGIN]?.(surroundings)
    } catch (error) {
      this.#onFailed(error)
    }
  }

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
