import { formatSize } from '../../../base/size'
import {
  DISK_FLOOR_BYTES,
  FORK_ALLOWANCE_FLOOR_BYTES,
  forkAllowanceBytes,
  judgeDisk,
  judgeFork,
  type MemoryRoom,
  snapshotFileBytes,
} from '../../room'

/** Longest wait of a process at V8's heap limit until its forked child has completed the first full GC, ms. */
export const HOLD_UNTIL_COLLECTED_MS = 2000
/** Default of the longest wait of a process at V8's heap limit until its forked child has ended, ms. */
export const DEFAULT_HOLD_MS = 10_000
/** Disk space that a sampling profile is expected to take at most, bytes. */
const PROFILE_FILE_BYTES = 1024 * 1024
/**
 * Least available memory for a fork at V8's heap limit, bytes, where the kernel would kill only the child when memory runs
 * out. Where it would kill the whole cgroup, `judgeFork` decides.
 */
export const HEAP_LIMIT_NEED_BYTES = 2 * FORK_ALLOWANCE_FLOOR_BYTES

/** Settings with which the watchdog plans dumps at V8's heap limit: plain data, which can be sent to another thread. */
export interface HeapLimitToWatch {
  /**
   * Identifies the registration of the heap-limit callback: the number that `armHeapLimit` of the native helper returned. Plans
   * with another number are ignored. Absent when no callback is installed: then no plans are made, but dumps that earlier
   * processes made at their heap limit are still reported.
   */
  readonly arming?: number | undefined
  /** Heap limit of V8, bytes. */
  readonly limitBytes: number
  /** Resident memory of the process outside of the main thread's heap when the monitor or the cluster worker started, bytes. */
  readonly baseBytes: number
  /**
   * Longest wait of a process at its heap limit until its child has ended, ms. Used only where the end of the process would also
   * kill the child.
   */
  readonly holdMs: number
  readonly writesLine: boolean
  readonly hasProfile: boolean
  /** Number of a signal that the child ignores, because `pkill` for the application also finds the child; 0 for none. */
  readonly ignoredSignal: number
}

/** All figures that decide whether and how to dump at V8's heap limit, as of the latest memory reading. */
export interface HeapLimitFacts {
  /** Heap limit of V8, bytes. */
  readonly limitBytes: number
  /** Resident memory of the process now, bytes. */
  readonly rssBytes: number
  /**
   * Resident memory of the process outside of the main thread's heap, bytes. Unlike the other figures, measured only once, when the
   * monitor or the cluster worker starts.
   */
  readonly baseBytes: number
  readonly room: MemoryRoom
  readonly disk: { readonly freeBytes: number; readonly isMemory: boolean }
  /** Whether the kernel kills all processes of the cgroup together when memory runs out. If not, it kills the child first. */
  readonly isKilledAsOne: boolean
  /** Whether the snapshot is written without the contents of strings. */
  readonly redact?: boolean | undefined
  /** Number of dumps in the directory that were made at the heap limit during the last `budget.intervalMs`. */
  readonly recentDumps: number
  readonly budget: { readonly tokensPerInterval: number; readonly intervalMs: number }
}

/** What to do when V8's heap limit is reached: dump nothing (`refusal`: why), or fork a child. */
export type HeapLimitDecision =
  | { readonly refusal: string }
  | {
      readonly refusal?: undefined
      readonly hasSnapshot: boolean
      /** Why the child will write no snapshot, but only the sampling profile. */
      readonly noSnapshot?: string
      readonly allowanceBytes: number
    }

/**
 * Decides what is done when the heap reaches V8's limit. This is decided beforehand, because no JavaScript runs then.
 *
 * The heap will grow until it reaches the limit, so this growth is subtracted from the available memory. The parent dies
 * within seconds and needs no further memory: the pages that it shared with the child become the child's, without a copy. If
 * the kernel, when memory runs out, would kill only the child, {@link HEAP_LIMIT_NEED_BYTES} is enough for an attempt. If the
 * kernel would kill the whole cgroup, the child must fit into memory as in any other fork.
 */
export function decideAtHeapLimit(facts: HeapLimitFacts): HeapLimitDecision {
  const { limitBytes, rssBytes, baseBytes, room, disk, isKilledAsOne, recentDumps, budget } = facts
  const { tokensPerInterval, intervalMs } = budget
  if (recentDumps >= tokensPerInterval) {
    return {
      refusal: `limited: ${recentDumps} of ${tokensPerInterval} allowed dumps were made within ${intervalMs / 1000} s`,
    }
  }
  const fileBytes = snapshotFileBytes(limitBytes, facts.redact)
  if (!judgeDisk(PROFILE_FILE_BYTES, disk.freeBytes).fits) {
    return { refusal: `disk: ${formatSize(disk.freeBytes)} free, too little for a dump` }
  }
  const growthBytes = Math.max(0, baseBytes + limitBytes - rssBytes)
  const leftBytes = Math.max(0, room.availableBytes - growthBytes)
  const noSnapshot = judgeDisk(fileBytes, disk.freeBytes).fits
    ? tooLargeForMemory(fileBytes, disk, leftBytes)
    : `disk: needs up to ${formatSize(fileBytes)} and ${formatSize(DISK_FLOOR_BYTES)} to spare, ${formatSize(disk.freeBytes)} free`
  const forChildBytes = leftBytes - (disk.isMemory && noSnapshot === undefined ? fileBytes : 0)
  const verdict = judgeFork(limitBytes, { ...room, availableBytes: forChildBytes })
  const needBytes = isKilledAsOne ? (verdict.numbers['needBytes'] ?? 0) : HEAP_LIMIT_NEED_BYTES
  const haveBytes = isKilledAsOne ? (verdict.numbers['haveBytes'] ?? 0) : forChildBytes
  if (haveBytes < needBytes)
    return { refusal: `memory: needs ${formatSize(needBytes)}, ${formatSize(haveBytes)} available` }
  const allowanceBytes = isKilledAsOne
    ? forkAllowanceBytes(haveBytes, baseBytes + limitBytes)
    : Math.max(FORK_ALLOWANCE_FLOOR_BYTES, haveBytes)
  if (noSnapshot === undefined) return { hasSnapshot: true, allowanceBytes }
  return { hasSnapshot: false, noSnapshot, allowanceBytes }
}

/** Why a snapshot's file does not fit into the memory that is left, where the disk is in memory (tmpfs); `undefined` if it does. */
function tooLargeForMemory(
  fileBytes: number,
  { isMemory }: HeapLimitFacts['disk'],
  leftBytes: number,
): string | undefined {
  if (!isMemory || leftBytes - fileBytes >= HEAP_LIMIT_NEED_BYTES) return undefined
  return `memory: the snapshot's file of up to ${formatSize(fileBytes)} is in memory too (tmpfs): needs that and ${formatSize(HEAP_LIMIT_NEED_BYTES)} to spare, ${formatSize(leftBytes)} available`
}

/**
 * Whether the option `--heapsnapshot-near-heap-limit` makes Node itself write heap snapshots near the limit. V8 calls only
 * the callback that was added last, so this library's callback would replace Node's. If the option is given several
 * times, the last counts; its value 0 means no snapshots.
 *
 * @param nodeOptions - The value of NODE_OPTIONS, which the command line overrides.
 */
export function isLeftToNode(execArgv: readonly string[], nodeOptions: string | undefined): boolean {
  const all = [nodeOptions ?? '', ...execArgv].join(' ')
  const given = [...all.matchAll(/(?<=^|[\s"])--heapsnapshot[-_]near[-_]heap[-_]limit[=\s]"?(\d+)/g)]
  return Number(given.at(-1)?.[1] ?? 0) > 0
}

/** Text for a heap limit. V8's limit includes the young generation, so it is larger than `--max-old-space-size`. */
export function heapLimitInWords(limitBytes: number): string {
  return `${formatSize(limitBytes)}, young generation included`
}

/** Returns a warning if the process will probably reach V8's heap limit, and end, before its memory reaches the threshold. */
export function thresholdAboveHeapLimit(
  what: string,
  thresholdBytes: number,
  limitBytes: number,
  baseBytes: number,
): string | undefined {
  if (thresholdBytes <= limitBytes + baseBytes) return undefined
  return (
    `${what} of ${formatSize(thresholdBytes)} is unlikely to be reached, unless much of the memory is outside of the ` +
    `heap: V8 ends the process when its heap reaches about ${heapLimitInWords(limitBytes)}; ` +
    'set a smaller value, or raise --max-old-space-size'
  )
}
