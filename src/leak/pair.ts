import type { ConfirmedLeak } from './confirmation'
import type { GcReading } from './trend'

/** Growth of the heap between the two snapshots of a leak, as a share of the growth that revealed the leak. */
export const PAIR_GROWTH_SHARE = 0.5

/** The second snapshot of a pair is due. */
export interface PairDue {
  /** File of the first snapshot. */
  readonly pairOf: string
  /** Growth of the heap since the first snapshot, bytes. */
  readonly growthBytes: number
}

/**
 * Decides when a leak's second snapshot is due: after further growth, so that the difference between the two is the leak. If no
 * snapshot could be made (the budget was spent, for example), it is due again after the same growth.
 */
export class LeakPair {
  #waiting:
    | { readonly file: string; readonly fromBytes: number; readonly stepBytes: number; dueBytes: number }
    | undefined

  /** Begins a pair with the snapshot in `file`; the last full collection before it left `fromBytes` in the heap. */
  begin(file: string, fromBytes: number, { growthBytes }: ConfirmedLeak): void {
    const stepBytes = PAIR_GROWTH_SHARE * growthBytes
    this.#waiting = { file, fromBytes, stepBytes, dueBytes: fromBytes + stepBytes }
  }

  take({ usedBytes }: GcReading): PairDue | undefined {
    const waiting = this.#waiting
    if (waiting === undefined || usedBytes < waiting.dueBytes) return undefined
    waiting.dueBytes = usedBytes + waiting.stepBytes
    return { pairOf: waiting.file, growthBytes: usedBytes - waiting.fromBytes }
  }

  /** Ends the pair whose first snapshot is `file`: the second has been made. */
  end(file: string): void {
    if (this.#waiting?.file === file) this.#waiting = undefined
  }
}
