import { Promise } from '../base/globals'

/** Lets the watchdog thread wait for the next iteration (turn) of the main thread's event loop. */
export class Turns {
  readonly #ask: () => void
  #waiting: ((atMs: number) => void)[] = []

  /** @param ask - Sends the main thread a message that only its event loop can answer. */
  constructor(ask: () => void) {
    this.#ask = ask
  }

  /** Resolves when the main thread's event loop has handled a message, to the monotonic time of that, ms. Never rejects. */
  next(): Promise<number> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
      this.#ask()
    })
  }

  /** Called when the main thread has answered. Resolves all waiting calls of {@link next}. @param atMs - Monotonic time, ms. */
  turned(atMs: number): void {
    for (const resolve of this.#waiting.splice(0)) resolve(atMs)
  }
}
