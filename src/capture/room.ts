const MIB = 1024 * 1024

/** Memory that is never spent on a dump, whatever the limit, bytes. */
export const MEMORY_RESERVE_FLOOR_BYTES = 64 * MIB
/** Share of the memory limit that is never spent on a dump. */
export const MEMORY_RESERVE_SHARE = 0.05
/** Disk space that is left free after a dump, bytes. */
export const DISK_FLOOR_BYTES = 256 * MIB

/**
 * What a snapshot in place needs at its peak beyond what the process has already, as a multiple of the heap in use.
 * The worst shape of heap (many small objects), as `node test/tools/bench/snapshot-need.mjs 100` shows it on each Node, plus a
 * tenth: V8 tells how large a heap is, never how many objects it holds. Large strings need a fiftieth of this.
 */
export const SNAPSHOT_NEED_FACTORS: Readonly<Record<number, number>> = { 20: 28, 22: 28, 24: 26, 26: 29 }
/** A Node that was not measured is taken for the hungriest that was. */
const UNMEASURED_NEED_FACTOR = Math.max(...Object.values(SNAPSHOT_NEED_FACTORS))
/** What even an empty process needs: its own code and built-ins are in the snapshot too. */
const SNAPSHOT_NEED_FLOOR_BYTES = 64 * MIB

/** Size of a `.heapsnapshot` as a multiple of the heap in use, in the worst case (large arrays); by the same command. */
export const SNAPSHOT_FILE_FACTOR = 4
const SNAPSHOT_FILE_FLOOR_BYTES = 16 * MIB

/** Memory as the limits of the process and the machine leave it. */
export interface MemoryRoom {
  /** What can still be allocated before a cgroup's limit is reached or the machine has nothing left, bytes. */
  readonly availableBytes: number
  /** What the process may use in all, bytes: its tightest cgroup limit, else the machine's memory. */
  readonly limitBytes: number
}

/** A yes or no to a dump, with the numbers that led to it, bytes by name. */
export interface RoomVerdict {
  readonly fits: boolean
  readonly numbers: Readonly<Record<string, number>>
}

/** Does an in-place snapshot of a heap of `usedBytes` fit into the memory that is left? */
export function judgeMemory(usedBytes: number, nodeMajor: number, room: MemoryRoom): RoomVerdict {
  return judgeNeed(usedBytes, snapshotNeedBytes(usedBytes, nodeMajor), room)
}

/**
 * What a forked child is sure to need: the full collection before the sampling profile touches most of the heap, and each
 * page that it or the application writes is copied. What the snapshot needs beyond that it may try to get: the child is
 * limited to what there is, and ends before the application suffers.
 */
export const FORK_NEED_FACTOR = 1.25

/**
 * What a child may allocate: all of what is to be had, less what copies can come to, for each page that it shares with the
 * application is copied once one of the two writes to it, and no limit of the kernel's counts that. Below the floor V8 could
 * not even begin.
 */
export function forkAllowanceBytes(haveBytes: number, sharedBytes: number): number {
  return Math.max(FORK_ALLOWANCE_FLOOR_BYTES, haveBytes - sharedBytes)
}

/** Least that a forked child may allocate, bytes. */
export const FORK_ALLOWANCE_FLOOR_BYTES = 32 * MIB

/** May a child be forked off a process with a heap of `usedBytes`? `haveBytes` is what it may use then. */
export function judgeFork(usedBytes: number, room: MemoryRoom): RoomVerdict {
  return judgeNeed(usedBytes, Math.ceil(usedBytes * FORK_NEED_FACTOR), room)
}

/** Does a file of `estimateBytes` fit onto a disk with `freeBytes`, with the floor left free? */
export function judgeDisk(estimateBytes: number, freeBytes: number): RoomVerdict {
  const fits = estimateBytes + DISK_FLOOR_BYTES <= freeBytes
  return { fits, numbers: { estimateBytes, freeBytes, floorBytes: DISK_FLOOR_BYTES } }
}

/** What an in-place snapshot needs at its peak beyond what the process has already, bytes. */
export function snapshotNeedBytes(usedBytes: number, nodeMajor: number): number {
  const factor = SNAPSHOT_NEED_FACTORS[nodeMajor] ?? UNMEASURED_NEED_FACTOR
  return Math.ceil(SNAPSHOT_NEED_FLOOR_BYTES + usedBytes * factor)
}

/** What is left for a dump whose file takes memory too: a file on a tmpfs stays there when the process that wrote it has ended. */
export function roomBeside(fileBytes: number, room: MemoryRoom): MemoryRoom {
  return { ...room, availableBytes: Math.max(0, room.availableBytes - fileBytes) }
}

/** How large the `.heapsnapshot` of a heap of `usedBytes` may get, bytes. */
export function snapshotFileBytes(usedBytes: number): number {
  return Math.ceil(SNAPSHOT_FILE_FLOOR_BYTES + usedBytes * SNAPSHOT_FILE_FACTOR)
}

/** What stays unspent under a memory limit, bytes. */
export function memoryReserveBytes(limitBytes: number): number {
  return Math.max(MEMORY_RESERVE_FLOOR_BYTES, Math.ceil(limitBytes * MEMORY_RESERVE_SHARE))
}

function judgeNeed(usedBytes: number, needBytes: number, room: MemoryRoom): RoomVerdict {
  const reserveBytes = memoryReserveBytes(room.limitBytes)
  const haveBytes = Math.max(0, room.availableBytes - reserveBytes)
  return { fits: needBytes <= haveBytes, numbers: { usedBytes, needBytes, haveBytes, reserveBytes } }
}
