import { ReadingLog, sidecarReadings } from '../dispatch/dispatcher'
import type { DumpResult, Leak } from '../dispatch/events'
import type { Sidecar } from '../files/sidecar'
import { type ConfirmedLeak, type Holdings, LeakConfirmation } from './confirmation'
import { LeakPair, type SnapshotDetails } from './pair'
import type { GcReadings } from './readings'
import { type GcReading, LEAK_RULE, type LeakRule, LeakTrend } from './trend'

/** The reason for a leak's snapshot, as written to its sidecar (the `.json` file beside it). */
export type LeakEvidence = Pick<Sidecar['why'], 'details' | 'readings'>

/** Time for which heap readings are ignored after the allocation sites were read, ms: reading the sites forces a full GC as a rule. */
export const FORCED_GC_MS = 1000

/** The inputs of {@link startLeakWatch}. */
export interface LeakWatch {
  readonly source: GcReadings
  /** Monotonic clock, ms. */
  readonly now: () => number
  /** Wall clock, ms since 1970. */
  readonly wallClock: () => number
  /**
   * Reads the heap in use by allocation site, as a rule after a forced full GC. Returns `undefined` when allocations are not sampled:
   * then the trend of the heap's size alone decides.
   */
  readonly readHoldings: () => Holdings | undefined
  /** Called once for each leak. */
  readonly onLeak: (leak: Leak) => void
  /** Takes a heap snapshot. Never rejects. */
  readonly dump: (evidence: LeakEvidence) => Promise<DumpResult>
  /** Whether a leak gets a second snapshot after further growth. `false`: only the first one, when the leak is found. */
  readonly isPairWanted: boolean
  /** Called with each error of the functions above. Must not throw. */
  readonly onFailure: (error: unknown) => void
  /** Limits by which the trend decides whether growth is a leak. @default {@link LEAK_RULE} */
  readonly rule?: LeakRule
}

/**
 * Watches the heap of the calling thread for leaks. Forces no GC before it suspects a leak, has no timer, does not keep
 * the process alive, and never throws into the application.
 *
 * @returns A function that stops the watch. Idempotent.
 */
export function startLeakWatch(watch: LeakWatch): () => void {
  const { source, now, readHoldings, onLeak, dump, isPairWanted, onFailure, rule = LEAK_RULE } = watch
  const trend = new LeakTrend(now(), rule)
  const pair = new LeakPair(isPairWanted)
  const latest = new ReadingLog()
  let forcedUntilMs = -Infinity
  const confirmation = new LeakConfirmation(() => {
    const holdings = readHoldings()
    if (holdings !== undefined) forcedUntilMs = now() + FORCED_GC_MS
    return holdings
  })
  const toEpochMs = (atMs: number) => watch.wallClock() - (now() - atMs)

  async function take(reading: GcReading): Promise<void> {
    if (reading.atMs <= forcedUntilMs) return
    latest.add({ atEpochMs: toEpochMs(reading.atMs), value: reading.usedBytes })
    const leak = confirmation.take(reading, trend.read(reading))
    if (leak !== undefined) {
      trend.noteReport()
      pair.begin(reading, leak.growthBytes, report(leak))
    }
    const due = pair.take(reading)
    if (due !== undefined) due.settle(await dump(evidence(due.details)))
  }

  /** Calls `onLeak`; returns the sidecar fields of the leak's first snapshot. */
  function report(leak: ConfirmedLeak): SnapshotDetails {
    const { growthBytes, sites, confirmedBy } = leak
    const [start, end] = [new Date(toEpochMs(leak.startMs)), new Date(toEpochMs(leak.endMs))]
    const reason = `${leak.reason}; ${CONFIRMED_BY[confirmedBy]}`
    onLeak({ start, end, growth: growthBytes, reason, sites })
    return { reason, growthBytes, sites, confirmedBy, rule }
  }

  function evidence(details: SnapshotDetails): LeakEvidence {
    return { details: { ...details, source: source.source }, readings: sidecarReadings(latest) }
  }

  return source.start((reading) => void take(reading).catch(onFailure))
}

const CONFIRMED_BY: Readonly<Record<ConfirmedLeak['confirmedBy'], string>> = {
  sites: 'confirmed: most of the growth comes from functions whose earlier objects are still in memory',
  growth: 'not confirmed by samples of the allocations, but the heap kept growing',
  none: 'not confirmed: allocations are not sampled',
}
