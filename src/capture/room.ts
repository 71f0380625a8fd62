const MIB = 1024 * 1024

/** Memory that a dump always leaves free, whatever the limit, bytes. */
export const MEMORY_RESERVE_FLOOR_BYTES = 64 * MIB
/** Share of the memory limit that a dump always leaves free. */
export const MEMORY_RESERVE_SHARE = 0.05
/** Disk space that is left free after a dump, bytes. */
export const DISK_FLOOR_BYTES = 256 * MIB

/**
 * Memory that a snapshot in place needs at its peak, beyond what the process has, as a multiple of the heap in use.
 * Measured on each Node by `node test/tools/bench/snapshot-need.mjs 100` with the worst shape of heap (many small
 * objects), plus a tenth: V8 reports the size of a heap, not the number of its objects. Large strings need a fiftieth
 * of this.
 */
export const SNAPSHOT_NEED_FACTORS: Readonly<Record<number, number>> = { 20: 28, 22: 28, 24: 26, 26: 29 }
/** Factor for a version of Node that was not measured: the largest measured one. */
const UNMEASURED_NEED_FACTOR = Math.max(...Object.values(SNAPSHOT_NEED_FACTORS))
/** Memory that a snapshot of an empty process needs, bytes: code and built-ins are in the snapshot too. */
const SNAPSHOT_NEED_FLOOR_BYTES = 64 * MIB

/** Size of a `.heapsnapshot` as a multiple of the heap in use, in the worst case (large arrays); by the same command. */
export const SNAPSHOT_FILE_FACTOR = 4
const SNAPSHOT_FILE_FLOOR_BYTES = 16 * MIB

/** Memory that the limits of the process and the machine leave. */
export interface MemoryRoom {
  /** Memory that can still be allocated before a cgroup's limit is reached or the machine has none left, bytes. */
  readonly availableBytes: number
  /** Memory that the process may use in all, bytes: its tightest cgroup limit, else the machine's memory. */
  readonly limitBytes: number
}

/** Whether a dump fits, with the numbers behind it, bytes by name. */
export interface RoomVerdict {
  readonly fits: boolean
  readonly numbers: Readonly<Record<string, number>>
}

/** Whether an in-place snapshot of a heap of `usedBytes` fits into the available memory. */
export function judgeMemory(usedBytes: number, nodeMajor: number, room: MemoryRoom): RoomVerdict {
  return judgeNeed(usedBytes, snapshotNeedBytes(usedBytes, nodeMajor), room)
}

/**
 * Least memory that a forked child needs, as a multiple of the heap in use: the full collection before the sampling
 * profile touches most of the heap, and each page that child or application writes is copied. The snapshot may need
 * more, and gets it if there is more: the child is limited to the available memory, and ends before the application
 * suffers.
 */
export const FORK_NEED_FACTOR = 1.25

/**
 * Memory that a child may allocate: all that is available, less the copies. A page that it shares with the application
 * is copied when either writes to it, and no limit of the kernel counts that. Below the floor V8 could not start.
 */
export function forkAllowanceBytes(haveBytes: number, sharedBytes: number): number {
  return Math.max(FORK_ALLOWANCE_FLOOR_BYTES, haveBytes - sharedBytes)
}

/** Least memory that a forked child is allowed to allocate, bytes. */
export const FORK_ALLOWANCE_FLOOR_BYTES = 32 * MIB

/** Whether a child may be forked from a process with a heap of `usedBytes`. `haveBytes`: memory that it may use. */
export function judgeFork(usedBytes: number, room: MemoryRoom): RoomVerdict {
  return judgeNeed(usedBytes, Math.ceil(usedBytes * FORK_NEED_FACTOR), room)
}

/** Whether a file of `estimateBytes` fits onto a disk with `freeBytes`, and leaves the floor free. */
export function judgeDisk(estimateBytes: number, freeBytes: number): RoomVerdict {
  const fits = estimateBytes + DISK_FLOOR_BYTES <= freeBytes
  return { fits, numbers: { estimateBytes, freeBytes, floorBytes: DISK_FLOOR_BYTES } }
}

/** Peak memory that an in-place snapshot needs beyond the memory that the process has, bytes. */
export function snapshotNeedBytes(usedBytes: number, nodeMajor: number): number {
  const factor = SNAPSHOT_NEED_FACTORS[nodeMajor] ?? UNMEASURED_NEED_FACTOR
  return Math.ceil(SNAPSHOT_NEED_FLOOR_BYTES + usedBytes * factor)
}

/** The room left for a dump whose file takes memory too: a file on a tmpfs remains after its writer has ended. */
export function roomBeside(fileBytes: number, room: MemoryRoom): MemoryRoom {
  return { ...room, availableBytes: Math.max(0, room.availableBytes - fileBytes) }
}

/**
 * Largest size of the `.heapsnapshot` of a heap of `usedBytes` while it is written, bytes: beside a redacted snapshot lies
 * the whole one.
 */
export function snapshotFileBytes(usedBytes: number, isRedacted = false): number {
  const fileBytes = Math.ceil(SNAPSHOT_FILE_FLOOR_BYTES + usedBytes * SNAPSHOT_FILE_FACTOR)
  return isRedacted ? 2 * fileBytes : fileBytes
}

/** Memory that a dump always leaves free under a memory limit, bytes. */
export function memoryReserveBytes(limitBytes: number): number {
  return Math.max(MEMORY_RESERVE_FLOOR_BYTES, Math.ceil(limitBytes * MEMORY_RESERVE_SHARE))
}

function judgeNeed(usedBytes: number, needBytes: number, room: MemoryRoom): RoomVerdict {
  const reserveBytes = memoryReserveBytes(room.limitBytes)
  const haveBytes = Math.max(0, room.availableBytes - reserveBytes)
  return { fits: needBytes <= haveBytes, numbers: { usedBytes, needBytes, haveBytes, reserveBytes } }
}
