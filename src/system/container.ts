import { limitedGroups, readTotalMemory, workingSetBytes } from './limits'
import { type ReadKernelFile, readKernelFile, readResidentBytes } from './proc'

/** Most processes of a container that are looked at. */
const MOST_PROCESSES = 512

/** What the processes of a container look like from one of them. */
export interface Neighbours {
  /** Resident set of a process, bytes; `undefined` when it has ended or cannot be read. */
  readonly rssOf: (pid: number) => number | undefined
  /** Whether a process has this library at work in it. */
  readonly isWatching: (pid: number) => boolean
}

/**
 * What all processes of the tightest memory cgroup use together, without page cache that the kernel can drop, in percent of its
 * limit. Above the threshold only the largest of the processes that watch gets a reading: one dump tells more than one of each.
 *
 * @returns `undefined` without a limit, and above the threshold where another process that watches is larger.
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

function isLargest(processes: string, { rssOf, isWatching }: Neighbours): boolean {
  const own = rssOf(process.pid) ?? Infinity
  const others = processes.split('\n').map(Number)
  return !others
    .filter((pid) => pid > 0 && pid !== process.pid)
    .slice(0, MOST_PROCESSES)
    .some((pid) => (rssOf(pid) ?? 0) > own && isWatching(pid))
}

/** A process that watches has the native helper in its memory. */
function neighboursBy(read: ReadKernelFile): Neighbours {
  return {
    rssOf(pid) {
      try {
        return readResidentBytes(pid)
      } catch {
        return undefined
      }
    },
    isWatching: (pid) => (read(`/proc/${pid}/maps`) ?? '').includes('/fork-helper.napi.'),
  }
}
