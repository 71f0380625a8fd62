import type { ReadingLog } from '../core/reading-log'
import type { Sidecar } from './artefact'

/** The latest readings as a sidecar tells them: `at` in ISO 8601. */
export function sidecarReadings(log: ReadingLog): Sidecar['why']['readings'] {
  return log.latest().map(({ atEpochMs, value }) => ({ at: new Date(atEpochMs).toISOString(), value }))
}
