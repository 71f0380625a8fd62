import os from 'node:os'

import { readGroups, type Group } from './cgroup-groups'
import { kernelFiles, type ReadKernelFile } from './kernel-files'
import { parseAllowedCpus, parseCpuMax, parseMeminfo, parseQuota } from './kernel-numbers'
import { limitedGroups } from './memory-groups'

/** What the process may use. */
export interface Limits {
  /** The smallest memory limit of the process's cgroup and its ancestors, bytes. Absent when none limits it. */
  readonly memoryLimitBytes?: number
  readonly memoryLimitSource: 'cgroup-v2' | 'cgroup-v1' | 'none'
  /** Memory of the machine, bytes. */
  readonly totalMemoryBytes: number
  /** Cores that the process may use, a fraction where a quota says so. Always above 0. */
  readonly cpus: number
  readonly cpusSource: 'cgroup-v2' | 'cgroup-v1' | 'machine'
}

/**
 * Reads what the process may use. What cannot be read or understood limits nothing; it never throws.
 *
 * @param root - Where `/proc` and `/sys` are looked for.
 * @default root `/`
 */
export function readLimits(root = '/'): Limits {
  const read = kernelFiles(root)
  const totalMemoryBytes = readTotalMemory(read)
  return { totalMemoryBytes, ...readMemoryLimit(read, totalMemoryBytes), ...readCpus(read) }
}

/** Memory of the machine, bytes. */
export function readTotalMemory(read: ReadKernelFile): number {
  return parseMeminfo(read('/proc/meminfo') ?? '', 'MemTotal') || os.totalmem()
}

function readMemoryLimit(
  read: ReadKernelFile,
  totalMemoryBytes: number,
): Pick<Limits, 'memoryLimitBytes' | 'memoryLimitSource'> {
  const [tightest] = limitedGroups(read, totalMemoryBytes).sort(
    (one, other) => one.limitBytes - other.limitBytes,
  )
  if (tightest === undefined) return { memoryLimitSource: 'none' }
  return { memoryLimitBytes: tightest.limitBytes, memoryLimitSource: `cgroup-${tightest.version}` }
}

function readCpus(read: ReadKernelFile): Pick<Limits, 'cpus' | 'cpusSource'> {
  const machine = readAllowedCpus(read)
  const quotas = readGroups(read, 'cpu').flatMap((group) => {
    const cpus = readQuota(read, group)
    return cpus !== undefined && cpus < machine
      ? [{ cpus, cpusSource: `cgroup-${group.version}` as const }]
      : []
  })
  const [tightest] = quotas.sort((one, other) => one.cpus - other.cpus)
  return tightest ?? { cpus: machine, cpusSource: 'machine' }
}

/**
 * Cores that the scheduler may put the process on. Not `os.availableParallelism()` where it can be helped: from libuv 1.49 it
 * rounds the cgroup's quota down to whole cores, so that 1.5 would become 1 (https://github.com/libuv/libuv/pull/4746).
 */
function readAllowedCpus(read: ReadKernelFile): number {
  return parseAllowedCpus(read('/proc/self/status') ?? '') || os.availableParallelism()
}

function readQuota(read: ReadKernelFile, { version, directory }: Group): number | undefined {
  if (version === 'v2') return parseCpuMax(read(`${directory}/cpu.max`) ?? '')
  return parseQuota(read(`${directory}/cpu.cfs_quota_us`) ?? '', read(`${directory}/cpu.cfs_period_us`) ?? '')
}
