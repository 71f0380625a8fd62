import { BreachCounter } from './breach-counter'

/**
 * One lasting incident: it begins with a trip and ends after `counter` readings in a row at or below the threshold.
 *
 * Within an episode each reason for not dumping is told once, however many trips it refuses.
 */
export class Episode {
  readonly #calm: BreachCounter
  readonly #told = new Set<string>()
  #lasting = false

  /** @param counter - Readings in a row at or below the threshold that end the episode, at least 1. */
  constructor(counter: number) {
    this.#calm = new BreachCounter(counter)
  }

  /** Begins the episode; within one it changes nothing. */
  begin(): void {
    this.#lasting = true
  }

  /** @returns `true` when this reading ends the episode. */
  observe(isBreach: boolean): boolean {
    const ends = this.#calm.observe(!isBreach) && this.#lasting
    if (ends) {
      this.#lasting = false
      this.#told.clear()
    }
    return ends
  }

  /** Breaks the row of calm readings, as when readings had to be thrown away in between. */
  interrupt(): void {
    this.#calm.interrupt()
  }

  /** @returns `true` the first time that a reason is given in this episode. */
  isNews(reason: string): boolean {
    if (this.#told.has(reason)) return false
    this.#told.add(reason)
    return true
  }
}
