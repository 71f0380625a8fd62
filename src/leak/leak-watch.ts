import { LEAK_RULE, LeakTrend } from '../core/leak-trend'
import type { GcReading, Leak, LeakRule } from '../core/leak-trend'
import type { Sidecar } from '../files/artefact'
import type { GcReadings } from './gc-readings'

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

/** Why a dump of the leak is wanted: goes into the file beside it. */
export type LeakEvidence = Pick<Sidecar['why'], 'details' | 'readings'>

/** What the leak watch needs. */
export interface LeakWatch {
  readonly source: GcReadings
  /** Monotonic ms. */
  readonly now: () => number
  /** Ms since 1970. */
  readonly wallClock: () => number
  /** Called once for each leak. */
  readonly onLeak: (report: LeakReport, evidence: LeakEvidence) => void
  /** Told what `onLeak` throws. */
  readonly onFailure: (error: unknown) => void
  /** Default {@link LEAK_RULE}. */
  readonly rule?: LeakRule
}

/** So many of the latest readings go into the evidence. */
export const EVIDENCE_READINGS = 60

/**
 * Watches the heap of the thread that calls it for leaks. Causes no GC, holds no timer, does not keep the process alive,
 * throws nothing into it.
 *
 * @returns Ends the watch. Idempotent.
 */
export function startLeakWatch(watch: LeakWatch): () => void {
  const rule = watch.rule ?? LEAK_RULE
  const trend = new LeakTrend(watch.now(), rule)
  const latest: GcReading[] = []

  function take(reading: GcReading): void {
    latest.push(reading)
    if (latest.length > EVIDENCE_READINGS) latest.shift()
    const leak = trend.read(reading)
    if (leak !== undefined) report(leak)
  }

  function report(leak: Leak): void {
    const toDate = (atMs: number) => new Date(watch.wallClock() - (watch.now() - atMs))
    const { growthBytes: growth, reason } = leak
    const readings = latest.map(({ atMs, usedBytes }) => ({
      at: toDate(atMs).toISOString(),
      value: usedBytes,
    }))
    watch.onLeak(
      { start: toDate(leak.startMs), end: toDate(leak.endMs), growth, reason },
      { details: { reason, growthBytes: growth, source: watch.source.source, rule }, readings },
    )
  }

  return watch.source.start((reading) => {
    try {
      take(reading)
    } catch (error) {
      reportFailure(watch.onFailure, error)
    }
  })
}

/** A failure handler that fails has nobody left to tell; the host must not pay for it. */
function reportFailure(onFailure: (error: unknown) => void, error: unknown): void {
  try {
    onFailure(error)
  } catch {
    return
  }
}
