import type { ConfirmedLeak } from './confirmation'
import type { GcReading } from './trend'

/** The heap grows by this share of the leak's growth before the second snapshot. */
export const PAIR_GROWTH_SHARE = 0.5

/** The second snapshot of a pair is due. */
export interface PairDue {
  /** The first one. */
  readonly pairOf: string
  /** Heap gained since the first one, bytes. */
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

  /** The first snapshot is in `file`; the heap had `fromBytes` after the last full collection before it. */
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

  /** The second snapshot of the pair that `file` begins has been made. */
  end(file: string): void {
    if (this.#waiting?.file === file) this.#waiting = undefined
  }
}
