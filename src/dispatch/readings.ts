import type { Sidecar } from '../files/sidecar'

/** A reading: when (ms since 1970) and how much. */
export interface LoggedReading {
  readonly atEpochMs: number
  readonly value: number
}

/** Number of the latest readings that go into a dump's sidecar. */
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

/** The latest readings as a sidecar has them, with `at` in ISO 8601. */
export function sidecarReadings(log: ReadingLog): Sidecar['why']['readings'] {
  return log.latest().map(({ atEpochMs, value }) => ({ at: new Date(atEpochMs).toISOString(), value }))
}
