import type { MemoryRoom, RoomVerdict } from '../core/room'
import type { Captured, Job, PassedOver } from './capture'
import type { HeapStatistics } from './main-thread'

/** What one rung made of a job. */
export type HeapCapture = Omit<Captured, 'durationMs' | 'lateMs'>

/** One rung of the memory ladder that ends in a heap snapshot. The capturer takes the first that fits. */
export interface HeapRung {
  /** Its ways, best first, as they stand in the `.json` and in the start line. */
  readonly ways: readonly string[]
  /** Does a snapshot of this heap fit into the memory that there is? */
  fit(heap: HeapStatistics, room: MemoryRoom): RoomVerdict
  /**
   * Takes the snapshot, and before it the sampling profile: some evidence exists whatever follows.
   *
   * @returns What was captured, or why this rung left nothing though another may well do better.
   * @throws When no other rung could do better: the file system's error.
   */
  take(
    job: Job,
    heap: HeapStatistics,
    passedOver: readonly PassedOver[],
  ): Promise<HeapCapture | { readonly cannot: string }>
}
