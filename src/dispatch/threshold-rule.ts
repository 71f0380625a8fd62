/** Meaning of a reading for a rule. */
export interface ThresholdVerdict {
  /** Enough readings in a row were above the threshold: a dump is due. */
  readonly trips: boolean
  /** This reading ended the episode. */
  readonly endsEpisode: boolean
}

/**
 * Applies `threshold` and `counter` of a rule to its readings.
 *
 * A single high reading is noise; `counter` of them in a row are a condition. A lasting condition is one episode: it
 * begins with a trip (the dump is due), trips again once every `counter` readings, and ends after `counter` readings in
 * a row at or below the threshold.
 */
export class ThresholdRule {
  #threshold: number
  readonly #breaches: Row
  readonly #calm: Row
  readonly #reported = new Set<string>()
  #isEpisode = false

  /**
   * @param threshold - A reading above it is a breach; one equal to it is not.
   * @param counter - Breaches in a row that make a trip, at least 1.
   */
  constructor(threshold: number, counter: number) {
    this.#threshold = threshold
    this.#breaches = new Row(counter)
    this.#calm = new Row(counter)
  }

  get threshold(): number {
    return this.#threshold
  }

  get counter(): number {
    return this.#breaches.length
  }

  /** Readings in a row above the threshold since the last trip. */
  get breaches(): number {
    return this.#breaches.count
  }

  /** Changes threshold and counter from the next reading on. Readings counted so far stay counted. */
  change(threshold: number, counter: number): void {
    this.#threshold = threshold
    this.#breaches.length = counter
    this.#calm.length = counter
  }

  observe(reading: number): ThresholdVerdict {
    const isBreach = reading > this.#threshold
    const endsEpisode = this.#calm.observe(!isBreach) && this.#isEpisode
    const trips = this.#breaches.observe(isBreach)
    if (trips) this.#isEpisode = true
    if (endsEpisode) {
      this.#isEpisode = false
      this.#reported.clear()
    }
    return { trips, endsEpisode }
  }

  /** Called when a reading is discarded: the counts of readings in a row begin anew. */
  interrupt(): void {
    this.#breaches.interrupt()
    this.#calm.interrupt()
  }

  /** @returns `true` the first time in this episode that this reason for not dumping occurs. */
  isNews(reason: string): boolean {
    if (this.#reported.has(reason)) return false
    this.#reported.add(reason)
    return true
  }
}

/** Counts consecutive readings of one sort. A reading of the other sort resets the count, and so does a full row. */
class Row {
  length: number
  #count = 0

  constructor(length: number) {
    this.length = length
  }

  get count(): number {
    return this.#count
  }

  /** @returns `true` when this reading fills the row. */
  observe(isInRow: boolean): boolean {
    this.#count = isInRow ? this.#count + 1 : 0
    if (this.#count < this.length) return false
    this.#count = 0
    return true
  }

  interrupt(): void {
    this.#count = 0
  }
}
