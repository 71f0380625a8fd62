import os from 'node:os'

import { kernelFiles, type ReadKernelFile } from './kernel-files'
import { parseMeminfo } from './kernel-numbers'
import { readTotalMemory } from './limits'
import { limitedGroups, workingSetBytes } from './memory-groups'

/** How much memory is left, and for whom. */
export interface MemoryLeft {
  /** What could still be allocated before a limit is reached or the machine has nothing left, bytes. */
  readonly availableBytes: number
  /** Limit, hard or throttling, of the cgroup with the least room, bytes. Absent when no limit can be compared with a usage. */
  readonly limitBytes?: number
  /** What that cgroup uses and cannot drop at will, bytes. */
  readonly workingSetBytes?: number
}

/**
 * Reads how much could still be allocated: the least of what each limited cgroup, the process's own and its ancestors, has
 * left, and of what the machine has. The tightest need not be the smallest: neighbours in a larger one use it up too.
 * Reads afresh each time, since limits can change while a process runs; never throws.
 *
 * @param root - Where `/proc` and `/sys` are looked for.
 * @default root `/`
 */
export function readMemoryRoom(root = '/'): MemoryLeft {
  const read = kernelFiles(root)
  const machineBytes = readAvailable(read)
  const [tightest] = limitedGroups(read, readTotalMemory(read), true)
    .flatMap((group) => {
      const usedBytes = workingSetBytes(read, group)
      return usedBytes === undefined ? [] : [{ limitBytes: group.limitBytes, workingSetBytes: usedBytes }]
    })
    .sort((one, other) => one.limitBytes - one.workingSetBytes - (other.limitBytes - other.workingSetBytes))
  if (tightest === undefined) return { availableBytes: machineBytes }
  const roomBytes = Math.max(0, tightest.limitBytes - tightest.workingSetBytes)
  return { ...tightest, availableBytes: Math.min(machineBytes, roomBytes) }
}

/** Memory that the machine could still give, bytes, caches that it can drop counted in where the system tells (Linux). */
function readAvailable(read: ReadKernelFile): number {
  return parseMeminfo(read('/proc/meminfo') ?? '', 'MemAvailable') ?? os.freemem()
}
