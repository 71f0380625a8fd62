/** A reading: when (ms since the epoch) and how much. */
export interface LoggedReading {
  readonly atEpochMs: number
  readonly value: number
}

/** So many of the latest readings go into a dump's sidecar. */
export const READINGS_KEPT = 60

/** The latest readings, oldest first. */
export class ReadingLog {
  readonly #readings: LoggedReading[] = []

  add(reading: LoggedReading): void {
    this.#readings.push(reading)
    if (this.#readings.length > READINGS_KEPT) this.#readings.shift()
  }

  latest(): readonly LoggedReading[] {
    return [...this.#readings]
  }
}
