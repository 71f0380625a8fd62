import type { GcReading } from './trend'

/** A source of heap readings, which are taken after full garbage collections of the thread that calls `start`. */
export interface GcReadings {
  /** Name of the source, for the sidecar: `builtin` or the package's name. The start line names the package only if it is used. */
  readonly source: string
  /**
   * Calls `onFullGc` soon after each full GC, in an event-loop turn of its own. `onFullGc` must not throw: its error
   * would be an uncaught exception of the application.
   *
   * @returns A function that stops the readings. Idempotent; `onFullGc` is not called afterwards.
   */
  start(onFullGc: (reading: GcReading) => void): () => void
}
