const MIB = 1024 * 1024

/** Least memory that a dump leaves free, whatever the memory limit is, bytes. */
export const MEMORY_RESERVE_FLOOR_BYTES = 64 * MIB
/** Share of the memory limit, 0 to 1, that a dump leaves free. A dump leaves at least 64 MiB free, even if this share is less. */
export const MEMORY_RESERVE_SHARE = 0.05
/** Disk space that is left free after a dump, bytes. */
export const DISK_FLOOR_BYTES = 256 * MIB

/**
 * Additional memory that a process needs at the peak of its own heap snapshot (without a fork), as a multiple of the used
 * heap, by major version of Node. The worst heap is assumed, one of many small objects, because V8 reports the size of a
 * heap but not the number of its objects; a heap of large strings needs a fiftieth of that. The factors were measured with
 * the worst heap by `node test/tools/bench/snapshot-need.mjs 100`, and then raised by a tenth.
 */
export const SNAPSHOT_NEED_FACTORS: Readonly<Record<number, number>> = { 20: 28, 22: 28, 24: 26, 26: 29 }
/** Factor for a version of Node that was not measured: the largest measured one. */
const UNMEASURED_NEED_FACTOR = Math.max(...Object.values(SNAPSHOT_NEED_FACTORS))
/** Memory that the snapshot of an empty program needs, bytes: a snapshot also contains code and built-in objects. */
const SNAPSHOT_NEED_FLOOR_BYTES = 64 * MIB

/** Size of a `.heapsnapshot` as a multiple of the used heap in the worst case, large arrays, measured by `snapshot-need.mjs`. */
export const SNAPSHOT_FILE_FACTOR = 4
const SNAPSHOT_FILE_FLOOR_BYTES = 16 * MIB

/** Memory that the process can still allocate, and the limit that applies: that of a cgroup, or the machine's memory. */
export interface MemoryRoom {
  /** Memory that can still be allocated before a cgroup's limit is reached or the machine has none left, bytes. */
  readonly availableBytes: number
  /** Limit of the cgroup that has the least memory left, bytes; without a cgroup limit, the machine's memory. */
  readonly limitBytes: number
}

/** Whether a dump fits into memory or onto the disk (`fits`), and by name the sizes that were compared, bytes (`numbers`). */
export interface RoomVerdict {
  readonly fits: boolean
  readonly numbers: Readonly<Record<string, number>>
}

/** Judges whether a heap of `usedBytes` can be written as a snapshot by this process itself, without a fork. */
export function judgeMemory(usedBytes: number, nodeMajor: number, room: MemoryRoom): RoomVerdict {
  return judgeNeed(usedBytes, snapshotNeedBytes(usedBytes, nodeMajor), room)
}

/**
 * Least memory that must be available beyond the reserve before a child is forked, as a multiple of the used heap. The
 * child's full GC before the sampling profile writes to most pages of the heap, and the kernel copies each page that the
 * child or the application writes to. The snapshot may need more: a child that exceeds the available memory ends itself,
 * before the application suffers.
 */
export const FORK_NEED_FACTOR = 1.25

/**
 * Returns how much memory a forked child may allocate, bytes, at least 32 MiB: the available memory `haveBytes`, less
 * `sharedBytes`, the size of the pages that the fork shares between child and application. The kernel copies such a page
 * when either process writes to it, and the child's own limit (RLIMIT_DATA) does not count these copies.
 */
export function forkAllowanceBytes(haveBytes: number, sharedBytes: number): number {
  return Math.max(FORK_ALLOWANCE_FLOOR_BYTES, haveBytes - sharedBytes)
}

/** Least memory that a forked child is allowed to allocate, bytes: with less, V8 in the child could not start to work. */
export const FORK_ALLOWANCE_FLOOR_BYTES = 32 * MIB

/**
 * Judges whether enough memory is available to fork a process whose heap has `usedBytes` in use. In the result,
 * `numbers.haveBytes` is the available memory less the reserve, bytes.
 */
export function judgeFork(usedBytes: number, room: MemoryRoom): RoomVerdict {
  return judgeNeed(usedBytes, Math.ceil(usedBytes * FORK_NEED_FACTOR), room)
}

/** Judges whether a file of `estimateBytes` fits onto a disk and leaves at least {@link DISK_FLOOR_BYTES} of it free. */
export function judgeDisk(estimateBytes: number, freeBytes: number): RoomVerdict {
  const fits = estimateBytes + DISK_FLOOR_BYTES <= freeBytes
  return { fits, numbers: { estimateBytes, freeBytes, floorBytes: DISK_FLOOR_BYTES } }
}

/** Returns how much more memory this process needs at the peak of its own heap snapshot (without a fork), bytes. */
export function snapshotNeedBytes(usedBytes: number, nodeMajor: number): number {
  const factor = SNAPSHOT_NEED_FACTORS[nodeMajor] ?? UNMEASURED_NEED_FACTOR
  return Math.ceil(SNAPSHOT_NEED_FLOOR_BYTES + usedBytes * factor)
}

/** Returns the memory left when a dump's file of `fileBytes` is on a tmpfs: it takes memory even after its writer has ended. */
export function roomBeside(fileBytes: number, room: MemoryRoom): MemoryRoom {
  return { ...room, availableBytes: Math.max(0, room.availableBytes - fileBytes) }
}

/**
 * Returns the most disk space that the `.heapsnapshot` of a heap of `usedBytes` takes while it is written, bytes. A
 * redacted snapshot takes twice as much: it is made from a complete one on the same disk.
 */
export function snapshotFileBytes(usedBytes: number, isRedacted = false): number {
  const fileBytes = Math.ceil(SNAPSHOT_FILE_FLOOR_BYTES + usedBytes * SNAPSHOT_FILE_FACTOR)
  return isRedacted ? 2 * fileBytes : fileBytes
}

/** Returns the memory that a dump leaves free under a memory limit, bytes. */
export function memoryReserveBytes(limitBytes: number): number {
  return Math.max(MEMORY_RESERVE_FLOOR_BYTES, Math.ceil(limitBytes * MEMORY_RESERVE_SHARE))
}

function judgeNeed(usedBytes: number, needBytes: number, room: MemoryRoom): RoomVerdict {
  const reserveBytes = memoryReserveBytes(room.limitBytes)
  const haveBytes = Math.max(0, room.availableBytes - reserveBytes)
  return { fits: needBytes <= haveBytes, numbers: { usedBytes, needBytes, haveBytes, reserveBytes } }
}
