import type { Captured, Job, PassedOver, Refusal } from '../capture'
import type { HeapStatistics } from '../main-thread/orders'
import type { MemoryRoom, RoomVerdict } from '../room'

/** A memory dump in progress. It tries one snapshot method (rung) after another. */
export interface HeapDump {
  readonly job: Job
  readonly heap: HeapStatistics
  /** Reads the memory that is available now. */
  readonly room: () => MemoryRoom
  /** Ways of capturing that the dump did not use, with the reason. Each snapshot method adds its own with `passOver`. */
  readonly passedOver: PassedOver[]
}

/** The result of a heap capture, by one rung (snapshot method) or by several ways together, before the ladder adds the rest. */
export type HeapCapture = Omit<Captured, 'durationMs' | 'lateMs' | 'passedOver'>

/** Why a rung (snapshot method) produced no file, although another one may succeed. */
export interface Incapable {
  readonly cannot: string
  /**
   * Present if a forked child ran out of memory. The dump then tries no further method, because the application itself
   * would need as much memory, and reports this refusal.
   */
  readonly refusal?: Refusal
}

/** A rung: one method of taking a heap snapshot. The capturer uses the first rung whose snapshot fits into memory. */
export interface HeapRung {
  /** Names of the method's variants, best first, in a dump's `.json` and in the log line at start. */
  readonly ways: readonly string[]
  /** Judges whether a snapshot of this heap fits into `room`, the available memory. */
  fit(heap: HeapStatistics, room: MemoryRoom): RoomVerdict
  /**
   * Takes the sampling profile (unless sampling is off), so that some evidence exists even if the snapshot fails, and then the
   * snapshot.
   *
   * @param verdict - The latest result of {@link fit}, which was that the snapshot fits.
   * @returns The files, or why there are none; the dump then tries the next method.
   * @throws When no other method could succeed, or none may be tried.
   */
  take(dump: HeapDump, verdict: RoomVerdict): Promise<HeapCapture | Incapable>
}

/** Adds the reason why a way of capturing was not used. A later reason for the same way replaces the earlier one. */
export function passOver(passedOver: PassedOver[], way: string, why: string): void {
  const earlier = passedOver.findIndex((one) => one.way === way)
  if (earlier >= 0) passedOver.splice(earlier, 1)
  passedOver.push({ way, why })
}
