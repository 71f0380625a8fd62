import { limitedGroups, readTotalMemory, workingSetBytes } from './limits'
import { type ReadKernelFile, readKernelFile, readPrivateBytes } from './proc'

/** Maximum number of processes of the container whose memory is compared with this process's memory. */
const MOST_PROCESSES = 512

/** Functions that read processes of the same container. */
export interface Neighbours {
  /** Memory of a process of this user, bytes; `undefined` when the process is another user's, has ended or cannot be read. */
  readonly sizeOf: (pid: number) => number | undefined
  /** Whether this library is active in a process. */
  readonly isWatching: (pid: number) => boolean
}

/**
 * Reads the memory use of the container: the memory that all processes of a cgroup use together, without page cache that the
 * kernel can drop. Of several cgroups with a limit, the one closest to its limit counts.
 *
 * @param threshold - Percent of the memory limit. Above it, only the largest of the processes in which this library is active
 * gets a reading, so that one process dumps and not each of them.
 * @returns Percent of the cgroup's memory limit. `undefined` without a limit, and above the threshold if this process is not the
 * largest.
 */
export function readContainerUse(
  threshold: number,
  read: ReadKernelFile = readKernelFile,
  neighbours: Neighbours = neighboursBy(read),
): number | undefined {
  const [tightest] = limitedGroups(read, readTotalMemory(read))
    .flatMap((group) => {
      const usedBytes = workingSetBytes(read, group)
      return usedBytes === undefined ? [] : [{ group, percent: (usedBytes / group.limitBytes) * 100 }]
    })
    .sort((one, other) => other.percent - one.percent)
  if (!tightest) return undefined
  const { group, percent } = tightest
  if (percent <= threshold) return percent
  return isLargest(read(`${group.directory}/cgroup.procs`) ?? '', neighbours) ? percent : undefined
}

function isLargest(processes: string, { sizeOf, isWatching }: Neighbours): boolean {
  const own = sizeOf(process.pid) ?? Infinity
  const others = processes.split('\n').map(Number)
  return !others
    .filter((pid) => pid > 0 && pid !== process.pid)
    .slice(0, MOST_PROCESSES)
    .some((pid) => (sizeOf(pid) ?? 0) > own && isWatching(pid))
}

/** Reads processes through /proc. A process in which this library is active has the library's native addon in its memory map. */
function neighboursBy(read: ReadKernelFile): Neighbours {
  return {
    sizeOf: (pid) => readPrivateBytes(pid, read),
    isWatching: (pid) => (read(`/proc/${pid}/maps`) ?? '').includes('/fork-helper.napi.'),
  }
}
