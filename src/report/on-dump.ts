import { Promise } from '../base/globals'
import { clearTimeout, setTimeout } from '../base/time'

/** Deadline of a call of `onDump`, ms. */
export const ON_DUMP_DEADLINE_MS = 60_000

/** A function of the application that is called with each dump. */
export type OnDump<Dump> = (dump: Dump) => unknown

/**
 * Calls `onDump`, and keeps its errors away from the monitor and the process: an error, a rejection, or a call past its
 * deadline is a failure of that call alone.
 */
export class DumpHook<Dump> {
  readonly #onDump: OnDump<Dump>
  readonly #onFailed: (error: unknown) => void
  readonly #calls = new Set<Promise<void>>()
  readonly #deadlineMs: number

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
