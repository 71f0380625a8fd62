import type { MemoryRoom, RoomVerdict } from '../core/room'
import type { Captured, Job, PassedOver, Refusal } from './capture'
import type { HeapStatistics } from './main-thread'

/** What one rung made of a job. */
export type HeapCapture = Omit<Captured, 'durationMs' | 'lateMs'>

/** Why a rung left nothing. */
export interface Incapable {
  readonly cannot: string
  /**
   * Set when a child starved. Then no rung is tried that takes as much from the application itself, and this is what there is to
   * tell.
   */
  readonly refusal?: Refusal
}

/** One rung of the memory ladder that ends in a heap snapshot. The capturer takes the first that fits. */
export interface HeapRung {
  /** Its ways, best first, as they stand in the `.json` and in the start line. */
  readonly ways: readonly string[]
  /** Does a snapshot of this heap fit into the memory that there is? */
  fit(heap: HeapStatistics, room: MemoryRoom): RoomVerdict
  /**
   * Takes the snapshot, and before it the sampling profile: some evidence exists whatever follows.
   *
   * @param room - What memory there is now.
   * @returns What was captured, or why this rung left nothing though another may well do better.
   * @throws When no other rung could do better, or none may be tried.
   */
  take(
    job: Job,
    heap: HeapStatistics,
    passedOver: readonly PassedOver[],
    room: () => MemoryRoom,
  ): Promise<HeapCapture | Incapable>
}
