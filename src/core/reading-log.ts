/** A reading as the evidence tells it: when (ms since the epoch) and how much. */
export interface LoggedReading {
  readonly atEpochMs: number
  readonly value: number
}

/** Readings that go into a dump's sidecar. */
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
