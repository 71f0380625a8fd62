import type { GcReading } from './trend'

/** A source of readings taken right after full garbage collections of the thread that starts it. */
export interface GcReadings {
  /** Source of the readings, for the log and the sidecar: `builtin` or the package's name. */
  readonly source: string
  /**
   * Reports each full GC from now on, soon after it, in an event-loop turn of its own. `onFullGc` must not throw: its
   * error would be an uncaught exception of the application.
   *
   * @returns A function that ends the reports. Idempotent; nothing is reported afterwards.
   */
  start(onFullGc: (reading: GcReading) => void): () => void
}
