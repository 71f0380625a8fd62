import { formatSize } from '../../../base/size'
import {
  FORK_ALLOWANCE_FLOOR_BYTES,
  forkAllowanceBytes,
  judgeDisk,
  judgeFork,
  type MemoryRoom,
  snapshotFileBytes,
} from '../../room'

/** Longest time that a process is held at V8's heap limit until its child is past the first collection, ms. */
export const HOLD_UNTIL_COLLECTED_MS = 2000
/** Longest hold of a process that reaches the heap limit before the first reading has made a plan, ms. */
export const HOLD_UNTIL_PLANNED_MS = 1000
/** Default of the longest hold for a process whose end would also end its child: until the child has ended, ms. */
export const DEFAULT_HOLD_MS = 10_000
/** Disk space that is reserved for a sampling profile, bytes. */
const PROFILE_FILE_BYTES = 1024 * 1024
/** Least memory for which a child is forked where the kernel would kill only the child, bytes. */
export const HEAP_LIMIT_NEED_BYTES = 2 * FORK_ALLOWANCE_FLOOR_BYTES

/** What the watch needs for dumps at the heap limit, as plain data that can be sent to another thread. */
export interface HeapLimitToWatch {
  /**
   * Number of the arming of the native callback, which needs plans; absent when it is not armed. Dumps of earlier
   * processes are reported anyway.
   */
  readonly arming?: number | undefined
  /** Heap limit of V8, bytes. */
  readonly limitBytes: number
  /** Memory of the process beside its heap, bytes. */
  readonly baseBytes: number
  /** Longest time that the process is held if its end would also end the child, ms. */
  readonly holdMs: number
  readonly writesLine: boolean
  readonly hasProfile: boolean
  /** Number of a signal that the child ignores; 0: none. `pkill` finds the child by the application's command line. */
  readonly ignoredSignal: number
}

/** All facts that decide about a dump at the heap limit, as the latest reading found them. */
export interface HeapLimitFacts {
  /** Heap limit of V8, bytes. */
  readonly limitBytes: number
  /** Resident memory of the process now, bytes. */
  readonly rssBytes: number
  /** Memory of the process beside its heap, as measured at the start, bytes. */
  readonly baseBytes: number
  readonly room: MemoryRoom
  readonly disk: { readonly freeBytes: number; readonly isMemory: boolean }
  /** Whether the kernel, when memory runs out, kills all processes of the cgroup. */
  readonly isKilledAsOne: boolean
  /** The snapshot is written without the contents of strings. */
  readonly redact?: boolean | undefined
  /** Dumps at the heap limit that lie in the directory and were made within the budget's interval. */
  readonly recentDumps: number
  readonly budget: { readonly tokensPerInterval: number; readonly intervalMs: number }
}

/** What to do when the limit is reached. */
export type HeapLimitDecision =
  | { readonly refusal: string }
  | {
      readonly refusal?: undefined
      readonly hasSnapshot: boolean
      /** Why there will be no snapshot. */
      readonly noSnapshot?: string
      readonly allowanceBytes: number
    }

/**
 * Decides beforehand what is done when the heap reaches V8's limit, because nothing can be decided then.
 *
 * By then the heap will have grown, so the available memory is reduced by that growth. Beyond that the parent, which
 * dies within seconds, needs nothing: pages that it shared with the child become the child's, without a copy. So where
 * the kernel would kill the child alone, some memory is enough for a try. Where it would kill the whole cgroup, the
 * child must fit as in any other fork.
 */
export function decideAtHeapLimit(facts: HeapLimitFacts): HeapLimitDecision {
  const { limitBytes, rssBytes, baseBytes, room, disk, isKilledAsOne, recentDumps, budget } = facts
  const { tokensPerInterval, intervalMs } = budget
  if (recentDumps >= tokensPerInterval) {
    return { refusal: `limited: ${recentDumps} of ${tokensPerInterval} dumps in ${intervalMs / 1000} s` }
  }
  const fileBytes = snapshotFileBytes(limitBytes, facts.redact)
  if (!judgeDisk(PROFILE_FILE_BYTES, disk.freeBytes).fits) {
    return { refusal: `disk: ${formatSize(disk.freeBytes)} free` }
  }
  const growthBytes = Math.max(0, baseBytes + limitBytes - rssBytes)
  const leftBytes = Math.max(0, room.availableBytes - growthBytes)
  const diskVerdict = judgeDisk(fileBytes, disk.freeBytes)
  const isDiskTooFull = !diskVerdict.fits || (disk.isMemory && leftBytes - fileBytes < HEAP_LIMIT_NEED_BYTES)
  const forChildBytes = leftBytes - (disk.isMemory && !isDiskTooFull ? fileBytes : 0)
  const verdict = judgeFork(limitBytes, { ...room, availableBytes: forChildBytes })
  const needBytes = isKilledAsOne ? (verdict.numbers['needBytes'] ?? 0) : HEAP_LIMIT_NEED_BYTES
  const haveBytes = isKilledAsOne ? (verdict.numbers['haveBytes'] ?? 0) : forChildBytes
  if (haveBytes < needBytes)
    return { refusal: `memory: needs ${formatSize(needBytes)}, ${formatSize(haveBytes)} available` }
  const allowanceBytes = isKilledAsOne
    ? forkAllowanceBytes(haveBytes, baseBytes + limitBytes)
    : Math.max(FORK_ALLOWANCE_FLOOR_BYTES, haveBytes)
  if (!isDiskTooFull) return { hasSnapshot: true, allowanceBytes }
  return {
    hasSnapshot: false,
    noSnapshot: `disk: needs up to ${formatSize(fileBytes)}, ${formatSize(disk.freeBytes)} free`,
    allowanceBytes,
  }
}

/**
 * Whether Node itself was asked, by `--heapsnapshot-near-heap-limit`, to write heap snapshots near the limit. V8 calls
 * only the callback that was added last, so ours would replace Node's. The last of several options counts; 0 is none.
 *
 * @param nodeOptions - The value of NODE_OPTIONS, which the command line overrides.
 */
export function isLeftToNode(execArgv: readonly string[], nodeOptions: string | undefined): boolean {
  const all = [nodeOptions ?? '', ...execArgv].join(' ')
  const given = [...all.matchAll(/(?<=^|[\s"])--heapsnapshot[-_]near[-_]heap[-_]limit[=\s]"?(\d+)/g)]
  return Number(given.at(-1)?.[1] ?? 0) > 0
}

/** V8 counts the young generation too, so that the figure is above the one given to `--max-old-space-size`. */
export function heapLimitInWords(limitBytes: number): string {
  return `${formatSize(limitBytes)}, young generation included`
}

/** Reported once at start when the heap limit will probably end the process before its memory reaches a threshold. */
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
    'set a smaller one, or raise --max-old-space-size'
  )
}
