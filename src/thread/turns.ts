import { Promise } from '../base/globals'

/** Waits, on the watchdog thread, for turns of the main thread's event loop. */
export class Turns {
  readonly #ask: () => void
  #waiting: ((atMs: number) => void)[] = []

  /** @param ask - Sends the main thread a message that only its event loop can answer. */
  constructor(ask: () => void) {
    this.#ask = ask
  }

  /** Resolves at the next turn of the main thread's event loop, to its monotonic time, ms. Never rejects. */
  next(): Promise<number> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
      this.#ask()
    })
  }

  /** Called when the main thread has answered. */
  turned(atMs: number): void {
    for (const resolve of this.#waiting.splice(0)) resolve(atMs)
  }
}
