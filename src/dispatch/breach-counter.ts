/**
 * Counts breaches in a row and says when to act.
 *
 * A single high reading is noise; `counter` of them in a row are a condition. One reading at or below the threshold
 * starts the count again, and so does a trip: a lasting condition trips once every `counter` readings.
 */
export class BreachCounter {
  readonly #counter: number
  #inARow = 0

  /** @param counter - Breaches in a row that make a trip, at least 1. */
  constructor(counter: number) {
    this.#counter = counter
  }

  /** @returns `true` when this reading completes the row: a trip. */
  observe(isBreach: boolean): boolean {
    this.#inARow = isBreach ? this.#inARow + 1 : 0
    if (this.#inARow < this.#counter) return false
    this.#inARow = 0
    return true
  }

  /** Breaks the row, as when readings had to be thrown away in between. */
  interrupt(): void {
    this.#inARow = 0
  }
}
