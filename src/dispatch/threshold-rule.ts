import { BreachCounter } from './breach-counter'
import { Episode } from './episode'

/** What a reading means. */
export interface ThresholdVerdict {
  /** The counter says act. */
  readonly trips: boolean
  /** This reading ended the episode. */
  readonly endsEpisode: boolean
}

/** The rule of `threshold` and `counter`: readings in, verdicts out. */
export class ThresholdRule {
  readonly threshold: number
  readonly counter: number
  readonly episode: Episode
  readonly #breaches: BreachCounter

  /**
   * @param threshold - A reading above it is a breach; one equal to it is not.
   * @param counter - Breaches in a row that make a trip, at least 1.
   */
  constructor(threshold: number, counter: number) {
    this.threshold = threshold
    this.counter = counter
    this.episode = new Episode(counter)
    this.#breaches = new BreachCounter(counter)
  }

  observe(reading: number): ThresholdVerdict {
    const isBreach = reading > this.threshold
    const endsEpisode = this.episode.observe(isBreach)
    const trips = this.#breaches.observe(isBreach)
    if (trips) this.episode.begin()
    return { trips, endsEpisode }
  }

  /** A reading was thrown away: neither row goes on across the gap. */
  interrupt(): void {
    this.#breaches.interrupt()
    this.episode.interrupt()
  }
}
