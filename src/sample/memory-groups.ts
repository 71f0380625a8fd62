import { readGroups, type Group } from './cgroup-groups'
import type { ReadKernelFile } from './kernel-files'
import { parseAmount, parseKeyed, parsePositive } from './kernel-numbers'

/** A cgroup that limits the process's memory. */
export interface MemoryGroup extends Group {
  readonly limitBytes: number
}

/**
 * Lists the groups, the process's own and its ancestors, that have a memory limit.
 *
 * @param totalMemoryBytes - Limits at or above it are none: "unlimited" is a number near 2^63 in cgroup v1.
 * @param countsThrottling - `memory.high` of cgroup v2 limits too: above it the kernel kills nobody, but makes all of the group
 * wait while it takes memory back.
 */
export function limitedGroups(
  read: ReadKernelFile,
  totalMemoryBytes: number,
  countsThrottling = false,
): MemoryGroup[] {
  return readGroups(read, 'memory').flatMap((group) => {
    const high =
      countsThrottling && group.version === 'v2' ? readAmount(read, group, 'memory.high') : undefined
    const limitBytes = smallest([readLimit(read, group), high])
    return limitBytes !== undefined && limitBytes < totalMemoryBytes ? [{ ...group, limitBytes }] : []
  })
}

/**
 * What a group holds and cannot drop at will: its usage without the file pages that nobody has touched lately, which the
 * kernel takes back before it kills anybody.
 */
export function workingSetBytes(read: ReadKernelFile, { version, directory }: Group): number | undefined {
  const usage = parseAmount(
    read(`${directory}/${version === 'v2' ? 'memory.current' : 'memory.usage_in_bytes'}`) ?? '',
  )
  if (usage === undefined) return undefined
  const stat = read(`${directory}/memory.stat`) ?? ''
  // In v1 the plain key is the group's own share, without its children; v2 always counts them in.
  const inactiveFile = parseKeyed(stat, version === 'v2' ? 'inactive_file' : 'total_inactive_file')
  return Math.max(0, usage - (inactiveFile ?? 0))
}

/**
 * Whether the kernel, when it kills one process of the group for want of memory, kills all of them. It then does so too when
 * the whole machine has no memory left. cgroup v2, where Kubernetes sets it for every container.
 */
export function isKilledAsOne(read: ReadKernelFile): boolean {
  return readGroups(read, 'memory').some(
    ({ version, directory }) =>
      version === 'v2' && parseAmount(read(`${directory}/memory.oom.group`) ?? '') === 1,
  )
}

function readLimit(read: ReadKernelFile, group: Group): number | undefined {
  if (group.version === 'v2') return readAmount(read, group, 'memory.max')
  const own = readAmount(read, group, 'memory.limit_in_bytes')
  // Counts the ancestors in, also those above the part of the hierarchy that a container can see.
  const inherited = parseKeyed(read(`${group.directory}/memory.stat`) ?? '', 'hierarchical_memory_limit')
  return smallest([own, inherited || undefined])
}

function readAmount(read: ReadKernelFile, { directory }: Group, file: string): number | undefined {
  return parsePositive(read(`${directory}/${file}`) ?? '')
}

function smallest(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined)
  return known.length === 0 ? undefined : Math.min(...known)
}
