/** The longest that an exiting process waits for a dump to be finished, ms. */
export const EXIT_WAIT_MS = 500

const STATE = 0
const IDLE = 0
const DUMPING = 1

/** Bytes of shared memory that the wait needs. */
export const EXIT_WAIT_BYTES = 4

/**
 * Lets an exiting process wait, for a bounded time, until the watchdog has finished the dump that it is making.
 *
 * In an `'exit'` handler no event loop turns any more, so the main thread can only sleep on shared memory; the inspector
 * interrupts even that sleep to end the profile.
 */
export class ExitWait {
  readonly #words: Int32Array

  constructor(shared: SharedArrayBuffer) {
    this.#words = new Int32Array(shared, 0, 1)
  }

  /** On the watchdog thread: a dump begins or has ended. */
  set isDumping(isDumping: boolean) {
    Atomics.store(this.#words, STATE, isDumping ? DUMPING : IDLE)
    Atomics.notify(this.#words, STATE)
  }

  get isDumping(): boolean {
    return Atomics.load(this.#words, STATE) === DUMPING
  }

  /** On the main thread, at exit. Returns when no dump is being made, or when the time is over. */
  wait(): void {
    Atomics.wait(this.#words, STATE, DUMPING, EXIT_WAIT_MS)
  }
}
