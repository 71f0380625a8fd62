/** One reading of the flight recorder, which keeps the readings of the last five minutes. A number that is not known is NaN. */
export interface FlightReading {
  /** Wall clock, ms since 1970. */
  readonly atEpochMs: number
  /** CPU use of the process since the previous reading, percent of one core. */
  readonly cpuPercent: number
  /** Resident set size, bytes. */
  readonly rss: number
  /** Used part of the main thread's heap, bytes. */
  readonly heapUsed: number
  /** Delay of the main thread's event loop, ms. */
  readonly loopDelayMs: number
  /** CPU that the main thread used for garbage collections, percent of one core. */
  readonly gcPercent: number
}

/**
 * The readings of the last minutes before a dump: one array per measured value, all of equal length, oldest reading first.
 * `null`: not known.
 */
export interface Flight {
  /** Time of the latest reading, ISO 8601. */
  readonly endedAt: string
  /** Seconds from each reading to `endedAt`. */
  readonly secondsAgo: readonly number[]
  /** CPU use, percent of one core. */
  readonly cpuPercent: readonly (number | null)[]
  /** Resident set size, MB (1024 × 1024 bytes). */
  readonly rssMb: readonly (number | null)[]
  /** Used part of the main thread's heap, MB. */
  readonly heapUsedMb: readonly (number | null)[]
  readonly loopDelayMs: readonly (number | null)[]
  readonly gcPercent: readonly (number | null)[]
}

/** Number of readings that the flight recorder keeps: one a second for five minutes. */
export const FLIGHT_READINGS = 300

const COLUMNS = ['atEpochMs', 'cpuPercent', 'rss', 'heapUsed', 'loopDelayMs', 'gcPercent'] as const
const MB = 1024 * 1024

/** Keeps the readings of the last five minutes, one a second, in 14 KB. */
export class FlightRecorder {
  readonly #values = new Float64Array(FLIGHT_READINGS * COLUMNS.length)
  #count = 0

  add(reading: FlightReading): void {
    const row = (this.#count % FLIGHT_READINGS) * COLUMNS.length
    for (const [at, column] of COLUMNS.entries()) this.#values[row + at] = reading[column]
    this.#count++
  }

  /**
   * Returns the latest readings for the sidecar, the `.json` beside a dump.
   *
   * @param toIso - Formats a time, ms since 1970, as ISO 8601.
   * @param most - Number of readings to return, at most.
   * @returns `undefined` before the first reading.
   */
  flight(toIso: (epochMs: number) => string, most = FLIGHT_READINGS): Flight | undefined {
    const readings = this.#readings(most)
    const end = readings.at(-1)?.atEpochMs
    if (end === undefined) return undefined
    const column = (valueOf: (reading: FlightReading) => number): (number | null)[] =>
      readings.map((reading) => known(valueOf(reading)))
    return {
      endedAt: toIso(end),
      secondsAgo: readings.map(({ atEpochMs }) => Math.round((end - atEpochMs) / 1000)),
      cpuPercent: column(({ cpuPercent }) => Math.round(cpuPercent)),
      rssMb: column(({ rss }) => Math.round(rss / MB)),
      heapUsedMb: column(({ heapUsed }) => Math.round(heapUsed / MB)),
      loopDelayMs: column(({ loopDelayMs }) => Math.round(loopDelayMs)),
      gcPercent: column(({ gcPercent }) => Math.round(gcPercent)),
    }
  }

  #readings(most: number): FlightReading[] {
    const length = Math.min(this.#count, FLIGHT_READINGS, most)
    return Array.from({ length }, (_, at) => {
      const row = ((this.#count - length + at) % FLIGHT_READINGS) * COLUMNS.length
      const entries = COLUMNS.map((column, index): [string, number] => [
        column,
        this.#values[row + index] ?? NaN,
      ])
      return Object.fromEntries(entries) as { [Column in keyof FlightReading]: number }
    })
  }
}

function known(value: number): number | null {
  return Number.isNaN(value) ? null : value
}
