import os from 'node:os'

import { limitedGroups, limitProblems, pathProblems, readGroups, type Group } from './cgroups'
import { parseAllowedCpus, parseCpuMax, parseMeminfo, parseQuota } from './kernel-numbers'
import { readKernelFile, type ReadKernelFile } from './proc'

/** Memory and CPU that the process may use. */
export interface Limits {
  /** The smallest memory limit of the process's cgroup and its ancestors, bytes. Absent when none limits it. */
  readonly memoryLimitBytes?: number
  /** `'unknown'`: no limit was found, but there are {@link Limits.problems} where one may be. */
  readonly memoryLimitSource: 'cgroup-v2' | 'cgroup-v1' | 'none' | 'unknown'
  /** Memory of the machine, bytes. */
  readonly totalMemoryBytes: number
  /** Cores that the process may use, a fraction where a quota says so. Always above 0. */
  readonly cpus: number
  /** `'unknown'`: no quota was found, but there are {@link Limits.problems} where one may be. */
  readonly cpusSource: 'cgroup-v2' | 'cgroup-v1' | 'machine' | 'unknown'
  /** The cgroup files that could not be read or understood, each with the line or the error. Absent when there are none. */
  readonly problems?: string
}

/** Reads what the process may use. A file that cannot be read or understood sets no limit; it never throws. */
export function readLimits(read: ReadKernelFile = readKernelFile): Limits {
  const totalMemoryBytes = readTotalMemory(read)
  const groups = { memory: readGroups(read, 'memory'), cpu: readGroups(read, 'cpu') }
  const ofPaths = pathProblems(read)
  const problems = {
    memory: limitProblems(read, 'memory', groups.memory, ofPaths),
    cpu: limitProblems(read, 'cpu', groups.cpu, ofPaths),
  }
  const all = [...new Set([...problems.memory, ...problems.cpu])]
  return {
    totalMemoryBytes,
    ...(readMemoryLimit(read, totalMemoryBytes, groups.memory) ?? {
      memoryLimitSource: problems.memory.length > 0 ? 'unknown' : 'none',
    }),
    ...readCpus(read, groups.cpu, problems.cpu.length > 0 ? 'unknown' : 'machine'),
    ...(all.length > 0 && { problems: all.join(', ') }),
  }
}

/** Memory of the machine, bytes. */
export function readTotalMemory(read: ReadKernelFile): number {
  return parseMeminfo(read('/proc/meminfo') ?? '', 'MemTotal') || os.totalmem()
}

function readMemoryLimit(
  read: ReadKernelFile,
  totalMemoryBytes: number,
  groups: Group[],
): Pick<Limits, 'memoryLimitBytes' | 'memoryLimitSource'> | undefined {
  const [tightest] = limitedGroups(read, totalMemoryBytes, false, groups).sort(
    (one, other) => one.limitBytes - other.limitBytes,
  )
  return (
    tightest && { memoryLimitBytes: tightest.limitBytes, memoryLimitSource: `cgroup-${tightest.version}` }
  )
}

function readCpus(
  read: ReadKernelFile,
  groups: readonly Group[],
  sourceWithoutQuota: 'machine' | 'unknown',
): Pick<Limits, 'cpus' | 'cpusSource'> {
  const machine = readAllowedCpus(read)
  const quotas = groups.flatMap((group) => {
    const cpus = readQuota(read, group)
    return cpus !== undefined && cpus < machine
      ? [{ cpus, cpusSource: `cgroup-${group.version}` as const }]
      : []
  })
  const [tightest] = quotas.sort((one, other) => one.cpus - other.cpus)
  return tightest ?? { cpus: machine, cpusSource: sourceWithoutQuota }
}

/**
 * Cores that the scheduler may put the process on. `os.availableParallelism()` is the last resort: from libuv 1.49
 * it rounds the cgroup's quota down to whole cores, 1.5 to 1 (https://github.com/libuv/libuv/pull/4746).
 */
function readAllowedCpus(read: ReadKernelFile): number {
  return parseAllowedCpus(read('/proc/self/status') ?? '') || os.availableParallelism()
}

function readQuota(read: ReadKernelFile, { version, directory }: Group): number | undefined {
  if (version === 'v2') return parseCpuMax(read(`${directory}/cpu.max`) ?? '')
  return parseQuota(read(`${directory}/cpu.cfs_quota_us`) ?? '', read(`${directory}/cpu.cfs_period_us`) ?? '')
}
