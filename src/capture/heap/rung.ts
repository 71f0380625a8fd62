import type { MemoryRoom, RoomVerdict } from '../room'
import type { Captured, Job, PassedOver, Refusal } from '../capture'
import type { HeapStatistics } from '../main-thread/orders'

/** The result of one rung. */
export type HeapCapture = Omit<Captured, 'durationMs' | 'lateMs'>

/** Why a rung produced nothing. */
export interface Incapable {
  readonly cannot: string
  /**
   * Set when a child ran out of memory. Then no rung is tried that takes as much from the application itself, and this
   * refusal is reported.
   */
  readonly refusal?: Refusal
}

/** One rung of the memory ladder that ends in a heap snapshot. The capturer takes the first that fits. */
export interface HeapRung {
  /** Names of its ways, best first, in the `.json` and in the start line. */
  readonly ways: readonly string[]
  /** Whether a snapshot of this heap fits into the available memory. */
  fit(heap: HeapStatistics, room: MemoryRoom): RoomVerdict
  /**
   * Takes the sampling profile, so that some evidence exists even if the snapshot fails, and then the snapshot.
   *
   * @param room - Reads the memory available now.
   * @returns The capture, or why there is none although another rung may succeed.
   * @throws When no other rung could succeed, or none may be tried.
   */
  take(
    job: Job,
    heap: HeapStatistics,
    passedOver: readonly PassedOver[],
    room: () => MemoryRoom,
  ): Promise<HeapCapture | Incapable>
}
