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

  /** Called with the answer of the main thread. */
  turned(atMs: number): void {
    for (const resolve of this.#waiting.splice(0)) resolve(atMs)
  }
}
