import os from 'node:os'

import { limitedGroups, workingSetBytes } from './cgroups'
import { parseMeminfo } from './kernel-numbers'
import { readTotalMemory } from './limits'
import { readKernelFile, type ReadKernelFile } from './proc'

/** Memory that is left to the process. */
export interface MemoryLeft {
  /** Memory that can still be allocated before a limit is reached or the machine has none left, bytes. */
  readonly availableBytes: number
  /** Limit, hard or throttling, of the cgroup with the least memory left, bytes. Absent when no cgroup has a limit and a usage. */
  readonly limitBytes?: number
}

/**
 * Reads how much can still be allocated: the least of what each limited cgroup, the process's own and its ancestors, has
 * left, and of what the machine has. The cgroup with the least left need not have the smallest limit: neighbours in a larger
 * one use it up too. Reads the files at each call, since limits can change while a process runs; never throws.
 */
export function readMemoryLeft(read: ReadKernelFile = readKernelFile): MemoryLeft {
  const machineBytes = readAvailable(read)
  const [tightest] = limitedGroups(read, readTotalMemory(read), true)
    .flatMap((group) => {
      const { limitBytes } = group
      const usedBytes = workingSetBytes(read, group)
      return usedBytes === undefined ? [] : [{ limitBytes, leftBytes: limitBytes - usedBytes }]
    })
    .sort((one, other) => one.leftBytes - other.leftBytes)
  if (tightest === undefined) return { availableBytes: machineBytes }
  const { limitBytes, leftBytes } = tightest
  return { limitBytes, availableBytes: Math.min(machineBytes, Math.max(0, leftBytes)) }
}

/** Memory that the machine can still give, bytes; on Linux this includes caches that it can drop. */
function readAvailable(read: ReadKernelFile): number {
  return parseMeminfo(read('/proc/meminfo') ?? '', 'MemAvailable') ?? os.freemem()
}
