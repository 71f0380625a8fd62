import type { GcReading } from './trend'

/** A source of readings taken right after full garbage collections of the thread that starts it. */
export interface GcReadings {
  /** Where the readings come from, for the log and the evidence: `builtin` or the package's name. */
  readonly source: string
  /**
   * Reports each full GC from now on, in a turn of its own, soon after it. What `onFullGc` throws is the host's
   * uncaught exception: give it something that does not throw.
   *
   * @returns Ends it. Idempotent; nothing is reported afterwards.
   */
  start(onFullGc: (reading: GcReading) => void): () => void
}
