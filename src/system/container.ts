import { limitedGroups, readTotalMemory, workingSetBytes } from './limits'
import { readPrivateBytes, type ReadKernelFile, readKernelFile } from './proc'

/** Number of processes of a container that are read, at most. */
const MOST_PROCESSES = 512

/** Readings of the other processes of the same container. */
export interface Neighbours {
  /** Memory of a process of this user, bytes; `undefined` when it is another's, has ended or cannot be read. */
  readonly sizeOf: (pid: number) => number | undefined
  /** Whether this library is active in a process. */
  readonly isWatching: (pid: number) => boolean
}

/**
 * Reads the memory that all processes of one cgroup use together, of the cgroup closest to its memory limit, in percent
 * of that limit. Page cache that the kernel can drop does not count. Above `threshold` only the largest of the
 * processes in which this library is active gets a reading, so that one process dumps and not each of them.
 *
 * @returns `undefined` without a limit, and above the threshold where another such process is larger.
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

/** A process in which this library is active has the native helper mapped into its memory. */
function neighboursBy(read: ReadKernelFile): Neighbours {
  return {
    sizeOf: (pid) => readPrivateBytes(pid, read),
    isWatching: (pid) => (read(`/proc/${pid}/maps`) ?? '').includes('/fork-helper.napi.'),
  }
}
