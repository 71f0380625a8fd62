import type { ReadingLog } from './reading-log'
import type { Sidecar } from '../files/sidecar'

/** The latest readings as a sidecar tells them: `at` in ISO 8601. */
export function sidecarReadings(log: ReadingLog): Sidecar['why']['readings'] {
  return log.latest().map(({ atEpochMs, value }) => ({ at: new Date(atEpochMs).toISOString(), value }))
}
