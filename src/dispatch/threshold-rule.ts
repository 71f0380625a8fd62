/** What a reading means. */
export interface ThresholdVerdict {
  /** The row of breaches is full: a dump is due. */
  readonly trips: boolean
  /** This reading ended the episode. */
  readonly endsEpisode: boolean
}

/**
 * The rule of `threshold` and `counter`: readings in, verdicts out.
 *
 * A single high reading is noise; `counter` of them in a row are a condition. A lasting condition is one episode: it begins
 * with a trip, trips again once every `counter` readings, and ends after `counter` readings in a row at or below the
 * threshold.
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

  /** Breaches in a row since the last trip. */
  get breaches(): number {
    return this.#breaches.count
  }

  /** Another threshold and counter from the next reading on. What has been counted stays counted. */
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

  /** A reading was thrown away: neither row goes on across the gap. */
  interrupt(): void {
    this.#breaches.interrupt()
    this.#calm.interrupt()
  }

  /** @returns `true` the first time that a reason for not dumping is given in this episode, however many trips it refuses. */
  isNews(reason: string): boolean {
    if (this.#reported.has(reason)) return false
    this.#reported.add(reason)
    return true
  }
}

/** Counts readings of one sort in a row. One of another sort begins the count again, and so does a full row. */
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
