/** Result of comparing one reading with the threshold of a rule. */
export interface ThresholdVerdict {
  /** Enough readings in a row were above the threshold: a dump is due. */
  readonly trips: boolean
  /** This reading ended an episode (time above the threshold): `counter` readings in a row were at or below the threshold. */
  readonly endsEpisode: boolean
}

/**
 * Applies `threshold` and `counter` of a rule to its readings.
 *
 * A single high reading is noise, so the rule trips (a dump is due) after `counter` readings in a row above the
 * threshold. The first trip begins an episode. The episode ends after `counter` readings in a row at or below the threshold;
 * until then, the rule trips again after each further `counter` readings in a row above it.
 */
export class ThresholdRule {
  #threshold: number
  readonly #breaches: Row
  readonly #calm: Row
  readonly #reported = new Set<string>()
  #isEpisode = false

  /**
   * @param threshold - A reading above it is a breach; one equal to it is not.
   * @param counter - Number of breaches in a row after which the rule trips, at least 1.
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

  /** Number of the latest readings in a row that were above the threshold; 0 again after each trip (a dump is due). */
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

  /** Sets the counts of readings in a row to 0. Called when a reading is discarded. */
  interrupt(): void {
    this.#breaches.interrupt()
    this.#calm.interrupt()
  }

  /**
   * Whether this reason for a missing dump is new in this episode (time above the threshold): `true` for the first call with the
   * reason, then `false` until the episode ends.
   */
  isNews(reason: string): boolean {
    if (this.#reported.has(reason)) return false
    this.#reported.add(reason)
    return true
  }
}

/**
 * Counts readings in a row of one sort: above the threshold, or at or below it. A reading of the other sort sets the
 * count to 0, and so does a reading that completes the row of `length`.
 */
class Row {
  length: number
  #count = 0

  constructor(length: number) {
    this.length = length
  }

  get count(): number {
    return this.#count
  }

  /** Counts a reading. @returns `true` when this reading completes the row. */
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
