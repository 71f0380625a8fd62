import type { Captured, Job, PassedOver, Refusal } from '../capture'
import type { HeapStatistics } from '../main-thread/orders'
import type { MemoryRoom, RoomVerdict } from '../room'

/** A memory dump that is being made, by one method (rung) after another. */
export interface HeapDump {
  readonly job: Job
  readonly heap: HeapStatistics
  /** Reads the memory that is available now. */
  readonly room: () => MemoryRoom
  /** The list for the whole dump: each rung adds the ways that it did not use, with `passOver`. */
  readonly passedOver: PassedOver[]
}

/** The result of one rung (snapshot method). */
export type HeapCapture = Omit<Captured, 'durationMs' | 'lateMs' | 'passedOver'>

/** Why a rung produced nothing. */
export interface Incapable {
  readonly cannot: string
  /**
   * The refusal, if a child ran out of memory. Then no method is tried that takes as much memory from the application
   * itself, and and this refusal is reported.
   */
  readonly refusal?: Refusal
}

/** One rung of the memory ladder: a method of taking a heap snapshot. The capturer uses the first one that fits. */
export interface HeapRung {
  /** Names of the method's variants, best first, in a dump's `.json` and in the log line at start. */
  readonly ways: readonly string[]
  /** Whether a snapshot of this heap fits into the available memory. */
  fit(heap: HeapStatistics, room: MemoryRoom): RoomVerdict
  /**
   * Takes the sampling profile, so that some evidence exists even if the snapshot fails, and then the snapshot.
   *
   * @param verdict - The latest verdict of {@link fit}, a positive one.
   * @returns The capture, or why there is none although another rung may succeed.
   * @throws When no other rung could succeed, or none may be tried.
   */
  take(dump: HeapDump, verdict: RoomVerdict): Promise<HeapCapture | Incapable>
}

/** Adds the reason why a way was not taken. A later reason for the same way replaces the earlier one. */
export function passOver(passedOver: PassedOver[], way: string, why: string): void {
  const earlier = passedOver.findIndex((one) => one.way === way)
  if (earlier >= 0) passedOver.splice(earlier, 1)
  passedOver.push({ way, why })
}
