import { LEAK_RULE, LeakTrend } from './trend'
import type { GcReading, Leak, LeakRule } from './trend'
import { ReadingLog } from '../dispatch/reading-log'
import type { Sidecar } from '../files/sidecar'
import { sidecarReadings } from '../dispatch/sidecar-readings'
import type { GcReadings } from './readings'

/** Payload of the `leak` event. */
export interface LeakReport {
  /** When the climb began. */
  readonly start: Date
  /** When its last floor was read. */
  readonly end: Date
  /** Heap gained from start to end, bytes. */
  readonly growth: number
  /** Growth, time, projection per hour and the floors, in words. */
  readonly reason: string
}

/** The reason for a dump of the leak, for its sidecar. */
export type LeakEvidence = Pick<Sidecar['why'], 'details' | 'readings'>

/** Parts of the leak watch. */
export interface LeakWatch {
  readonly source: GcReadings
  /** Monotonic ms. */
  readonly now: () => number
  /** Ms since 1970. */
  readonly wallClock: () => number
  /** Called once for each leak. */
  readonly onLeak: (report: LeakReport, evidence: LeakEvidence) => void
  /** Called with what `onLeak` throws. Must not throw. */
  readonly onFailure: (error: unknown) => void
  /** Default {@link LEAK_RULE}. */
  readonly rule?: LeakRule
}

/**
 * Watches the heap of the calling thread for leaks. Causes no GC, holds no timer, does not keep the process alive, and throws
 * nothing into it.
 *
 * @returns Ends the watch. Idempotent.
 */
export function startLeakWatch(watch: LeakWatch): () => void {
  const rule = watch.rule ?? LEAK_RULE
  const trend = new LeakTrend(watch.now(), rule)
  const latest = new ReadingLog()
  const toEpochMs = (atMs: number) => watch.wallClock() - (watch.now() - atMs)

  function take(reading: GcReading): void {
    latest.add({ atEpochMs: toEpochMs(reading.atMs), value: reading.usedBytes })
    const leak = trend.read(reading)
    if (leak !== undefined) report(leak)
  }

  function report(leak: Leak): void {
    const { growthBytes: growth, reason } = leak
    const [start, end] = [new Date(toEpochMs(leak.startMs)), new Date(toEpochMs(leak.endMs))]
    const details = { reason, growthBytes: growth, source: watch.source.source, rule }
    watch.onLeak({ start, end, growth, reason }, { details, readings: sidecarReadings(latest) })
  }

  return watch.source.start((reading) => {
    try {
      take(reading)
    } catch (error) {
      watch.onFailure(error)
    }
  })
}
