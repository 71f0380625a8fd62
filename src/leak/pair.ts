import { owns } from '../base/globals'
import type { DumpResult } from '../dispatch/events'
import type { GcReading } from './trend'

/**
 * Further growth of the heap at which the second snapshot of a leak is taken, as a share (1: all) of the growth that revealed
 * the leak.
 */
export const PAIR_GROWTH_SHARE = 0.5
/** A snapshot that was refused because another dump was in progress is retried after this time, ms. */
export const BUSY_RETRY_MS = 60_000

/** Fields about a snapshot for its sidecar (the `.json` file beside it). */
export type SnapshotDetails = Readonly<Record<string, unknown>>

/** A snapshot that is to be taken now. */
export interface DueSnapshot {
  readonly details: SnapshotDetails
  /** To be called with the result of the dump. Until then, no other snapshot of this pair is due. */
  readonly settle: (result: DumpResult) => void
}

/**
 * The snapshot of a pair that is to be taken next: the first, then the second. It is due as soon as a reading has reached `dueBytes`
 * and `dueMs`.
 */
interface Pending {
  /** File of the first snapshot; absent until that is written. */
  readonly pairOf?: string
  /** Sidecar fields of the first snapshot. */
  readonly details: SnapshotDetails
  readonly fromBytes: number
  readonly stepBytes: number
  dueBytes: number
  dueMs: number
}

/**
 * Decides when the two snapshots of a leak are due: the first at once, the second after further growth
 * (`PAIR_GROWTH_SHARE`), so that their difference shows the leaked objects. A snapshot that could not be taken (the budget was
 * spent, for example) is due again after growth of that size, or a minute later if another dump was in progress.
 */
export class LeakPair {
  readonly #isSecondWanted: boolean
  #pending: Pending | undefined

  constructor(isSecondWanted: boolean) {
    this.#isSecondWanted = isSecondWanted
  }

  /**
   * Starts a pair of snapshots for a leak; replaces an unfinished pair.
   *
   * @param growthBytes - Growth of the heap that revealed the leak, bytes.
   * @param details - Sidecar fields of the first snapshot.
   */
  begin({ usedBytes }: GcReading, growthBytes: number, details: SnapshotDetails): void {
    const stepBytes = PAIR_GROWTH_SHARE * growthBytes
    this.#pending = { details, fromBytes: usedBytes, stepBytes, dueBytes: usedBytes, dueMs: 0 }
  }

  take(reading: GcReading): DueSnapshot | undefined {
    const pending = this.#pending
    if (!pending || reading.usedBytes < pending.dueBytes || reading.atMs < pending.dueMs) return undefined
    pending.dueBytes = Infinity
    return {
      details: detailsOf(pending, reading),
      settle: (result) => {
        if (!owns(result, 'file')) postpone(pending, reading, result.skipped)
        else if (this.#pending === pending) this.#pending = this.#second(pending, reading, result.file)
      },
    }
  }

  #second(first: Pending, { usedBytes }: GcReading, pairOf: string): Pending | undefined {
    if (first.pairOf !== undefined || !this.#isSecondWanted) return undefined
    return { ...first, pairOf, fromBytes: usedBytes, dueBytes: usedBytes + first.stepBytes, dueMs: 0 }
  }
}

function detailsOf({ pairOf, details, fromBytes }: Pending, { usedBytes }: GcReading): SnapshotDetails {
  if (pairOf === undefined) return details
  const reason = 'the heap has grown further since the first snapshot'
  return { pairOf, growthBytes: usedBytes - fromBytes, reason }
}

function postpone(pending: Pending, { atMs, usedBytes }: GcReading, why: string): void {
  const isBusy = why === 'busy'
  pending.dueBytes = isBusy ? 0 : usedBytes + pending.stepBytes
  pending.dueMs = isBusy ? atMs + BUSY_RETRY_MS : 0
}
