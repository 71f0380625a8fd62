import os from 'node:os'
import { posix } from 'node:path'
import { toJson } from '../base/globals'
import {
  parseAllowedCpus,
  parseAmount,
  parseCpuMax,
  parseKeyed,
  parseMeminfo,
  parsePositive,
  parseQuota,
  type ReadKernelFile,
  readKernelFile,
} from './proc'

/** Memory and CPU cores that this process may use. */
export interface Limits {
  /** The smallest memory limit of the process's cgroup and the cgroup's ancestors, bytes. Absent without a limit. */
  readonly memoryLimitBytes?: number
  /** `'unknown'`: no limit was found, but a file that may hold one could not be read, see {@link Limits.problems}. */
  readonly memoryLimitSource: 'cgroup-v2' | 'cgroup-v1' | 'none' | 'unknown'
  /** Memory of the machine, bytes. */
  readonly totalMemoryBytes: number
  /** CPU cores that the process may use; a fraction if a CPU quota limits them. Always above 0. */
  readonly cpus: number
  /** `'unknown'`: no quota below the machine's CPUs was found, but a file that may hold one could not be read or parsed, see {@link Limits.problems}. */
  readonly cpusSource: 'cgroup-v2' | 'cgroup-v1' | 'machine' | 'unknown'
  /** The cgroup files that could not be read or parsed, each with the bad line or the error. Absent when there are none. */
  readonly problems?: string
}

/** Reads memory and CPU limits of this process. A file that cannot be read or parsed counts as no limit. Never throws. */
export function readLimits(readFile: ReadKernelFile = readKernelFile): Limits {
  const read = readingOnce(readFile)
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

/** Returns a reader that reads each file only once: the code that reads the limits asks for most files two or three times. */
function readingOnce(read: ReadKernelFile): ReadKernelFile {
  const files = new Map<string, { text: string | undefined; code: string | undefined }>()
  return (path, onError) => {
    let file = files.get(path)
    if (file === undefined) {
      let code: string | undefined
      const text = read(path, (error) => (code = error))
      file = { text, code }
      files.set(path, file)
    }
    if (file.code !== undefined) onError?.(file.code)
    return file.text
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
 * Number of CPUs on which the scheduler may run the process. `os.availableParallelism()` is only used without /proc, because
 * since libuv 1.49 it also rounds the cgroup's quota down to whole cores, 1.5 to 1 (https://github.com/libuv/libuv/pull/4746).
 */
function readAllowedCpus(read: ReadKernelFile): number {
  return parseAllowedCpus(read('/proc/self/status') ?? '') || os.availableParallelism()
}

function readQuota(read: ReadKernelFile, { version, directory }: Group): number | undefined {
  if (version === 'v2') return parseCpuMax(read(`${directory}/cpu.max`) ?? '')
  return parseQuota(read(`${directory}/cpu.cfs_quota_us`) ?? '', read(`${directory}/cpu.cfs_period_us`) ?? '')
}

/** Memory that this process can still use. */
export interface MemoryLeft {
  /** Memory that can still be allocated before a cgroup limit or the end of the machine's memory is reached, bytes. */
  readonly availableBytes: number
  /** Hard or throttling limit of the cgroup with the least memory left, bytes. Absent when no cgroup has a limit. */
  readonly limitBytes?: number
}

/**
 * Reads how much memory this process can still allocate. That is what the machine has left, or less if a cgroup with a limit (the
 * process's own or an ancestor) has less left. The cgroup with the least memory left need not have the smallest limit, because
 * other processes use memory of a larger cgroup too. Reads the files at each call, since limits can change. Never throws.
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

/** Memory that the machine can still allocate, bytes; on Linux this includes caches that it can drop. */
function readAvailable(read: ReadKernelFile): number {
  return parseMeminfo(read('/proc/meminfo') ?? '', 'MemAvailable') ?? os.freemem()
}

type CgroupVersion = 'v1' | 'v2'
type Controller = 'memory' | 'cpu'

/** A cgroup that contains the process, directly or through a child cgroup, and its directory in the cgroup file system. */
interface Group {
  readonly version: CgroupVersion
  readonly directory: string
}

interface Mount {
  readonly version: CgroupVersion
  /** Path of the cgroup that is mounted at `mountPoint`, relative to the root of the cgroup hierarchy. */
  readonly root: string
  readonly mountPoint: string
  readonly options: readonly string[]
}

/** A cgroup that limits the process's memory. */
interface MemoryGroup extends Group {
  readonly limitBytes: number
}

const MOUNTINFO = '/proc/self/mountinfo'
const MEMBERSHIP = '/proc/self/cgroup'

/** Finds the cgroups that contain this process, its own first. Returns none where the system has no files about cgroups. */
function readGroups(read: ReadKernelFile, controller: Controller): Group[] {
  return findGroups(read(MOUNTINFO) ?? '', read(MEMBERSHIP) ?? '', controller)
}

/**
 * Finds the cgroups that limit a process: its own first, then each ancestor up to the mount point of the hierarchy. Ancestors
 * count, because their limits apply to their children too. Where cgroup v1 and v2 are both mounted, the cgroups of both are
 * listed. That is safe, because the files of a controller exist in only one of them.
 *
 * @param mountinfo - Text of `/proc/self/mountinfo`.
 * @param cgroup - Text of `/proc/self/cgroup`.
 */
export function findGroups(mountinfo: string, cgroup: string, controller: Controller): Group[] {
  const mounts = parseMounts(mountinfo)
  return [
    ...groupsOf(
      mounts.filter(({ version }) => version === 'v2'),
      membership(cgroup, (hierarchyId, controllers) => hierarchyId === '0' && controllers === ''),
    ),
    ...groupsOf(
      mounts.filter(({ version, options }) => version === 'v1' && options.includes(controller)),
      membership(cgroup, (_, controllers) => controllers.split(',').includes(controller)),
    ),
  ]
}

/**
 * Lists those cgroups of this process (its own and the ancestors) that have a memory limit.
 *
 * @param totalMemoryBytes - Memory of the machine. Limits at or above it are ignored: cgroup v1 writes "unlimited" as a number
 * near 2^63.
 * @param countsThrottling - Whether `memory.high` of cgroup v2 counts as a limit too. Above it the kernel kills no process, but
 * makes all processes of the group wait while it reclaims memory.
 */
export function limitedGroups(
  read: ReadKernelFile,
  totalMemoryBytes: number,
  countsThrottling = false,
  groups = readGroups(read, 'memory'),
): MemoryGroup[] {
  return groups.flatMap((group) => {
    const high =
      countsThrottling && group.version === 'v2' ? readAmount(read, group, 'memory.high') : undefined
    const limitBytes = smallest([readLimit(read, group), high])
    return limitBytes !== undefined && limitBytes < totalMemoryBytes ? [{ ...group, limitBytes }] : []
  })
}

/**
 * Reads the working set of a cgroup, bytes: its memory use without file pages that were not accessed lately, because the kernel
 * drops those before it kills a process. `undefined` if the use cannot be read.
 */
export function workingSetBytes(read: ReadKernelFile, { version, directory }: Group): number | undefined {
  const usage = parseAmount(
    read(`${directory}/${version === 'v2' ? 'memory.current' : 'memory.usage_in_bytes'}`) ?? '',
  )
  if (usage === undefined) return undefined
  const stat = read(`${directory}/memory.stat`) ?? ''
  // In cgroup v1 `inactive_file` excludes child cgroups and `total_inactive_file` includes them; v2 always includes them.
  const inactiveFile = parseKeyed(stat, version === 'v2' ? 'inactive_file' : 'total_inactive_file')
  return Math.max(0, usage - (inactiveFile ?? 0))
}

/**
 * Whether the kernel's OOM killer kills all processes of this process's cgroup or of an ancestor together, not just one of them.
 * That is so with `memory.oom.group` of cgroup v2, which Kubernetes sets for every container, and applies when the cgroup or the
 * whole machine is out of memory.
 */
export function isKilledAsOne(read: ReadKernelFile): boolean {
  return readGroups(read, 'memory').some(
    ({ version, directory }) =>
      version === 'v2' && parseAmount(read(`${directory}/memory.oom.group`) ?? '') === 1,
  )
}

/** The two files that show the cgroups of this process, each with the pattern that every line of the file must match. */
const PATH_FILES: Readonly<Record<string, RegExp>> = {
  [MOUNTINFO]: /^$|^\d+ \d+ \d+:\d+ \S+ \S+ .*- \S+ /,
  [MEMBERSHIP]: /^$|^\d+:[^:]*:\//,
}

const AMOUNT = '[1-9]\\d{0,19}'

/** The files that hold a limit, each with the pattern that every line of the file must match. `max` and -1 mean "no limit". */
const LIMIT_FILES: Readonly<Record<CgroupVersion, Readonly<Record<Controller, Record<string, RegExp>>>>> = {
  v2: {
    memory: { 'memory.max': new RegExp(`^(max|${AMOUNT})$`) },
    cpu: { 'cpu.max': new RegExp(`^(max|${AMOUNT}) ${AMOUNT}$`) },
  },
  v1: {
    memory: { 'memory.limit_in_bytes': new RegExp(`^(-1|${AMOUNT})$`), 'memory.stat': /^\S+ \d+$/ },
    cpu: {
      'cpu.cfs_quota_us': new RegExp(`^(-1|${AMOUNT})$`),
      'cpu.cfs_period_us': new RegExp(`^${AMOUNT}$`),
    },
  },
}

/**
 * Describes each cgroup file of this process's limits that cannot be read or parsed, with the error or the malformed line. Such
 * a file may hold a limit that stays unknown.
 *
 * @param ofPaths - Problems of the two {@link PATH_FILES}, which all controllers share.
 */
export function limitProblems(
  read: ReadKernelFile,
  controller: Controller,
  groups = readGroups(read, controller),
  ofPaths = pathProblems(read),
): string[] {
  const limitFiles = groups.flatMap(({ version, directory }) =>
    Object.entries(LIMIT_FILES[version][controller]).map(
      ([file, grammar]) => [`${directory}/${file}`, grammar] as const,
    ),
  )
  return [...ofPaths, ...limitFiles.flatMap(([path, grammar]) => problemsOf(read, path, grammar))]
}

/** Describes each of the two {@link PATH_FILES} that cannot be read or parsed, with the error or the malformed line. */
export function pathProblems(read: ReadKernelFile): string[] {
  return Object.entries(PATH_FILES).flatMap(([path, grammar]) => problemsOf(read, path, grammar))
}

const MAX_QUOTED = 60

function problemsOf(read: ReadKernelFile, path: string, grammar: RegExp): string[] {
  const problems: string[] = []
  const text = read(path, (code) => problems.push(`${path} cannot be read (${code})`))
  const lines = text?.trimEnd().split('\n') ?? []
  const bad = lines.findIndex((line) => !grammar.test(line))
  if (bad >= 0) {
    const quoted = toJson((lines[bad] ?? '').slice(0, MAX_QUOTED))
    problems.push(`${path} line ${bad + 1} is malformed (${quoted})`)
  }
  return problems
}

function readLimit(read: ReadKernelFile, group: Group): number | undefined {
  if (group.version === 'v2') return readAmount(read, group, 'memory.max')
  const own = readAmount(read, group, 'memory.limit_in_bytes')
  // `hierarchical_memory_limit` includes the limits of all ancestors, even of those that a container cannot see.
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

function groupsOf(mounts: readonly Mount[], path: string | undefined): Group[] {
  if (path === undefined) return []
  const [widest] = mounts
    .filter(({ root }) => isWithin(path, root))
    .sort((one, other) => one.root.length - other.root.length)
  if (widest !== undefined) return climb(widest, path.slice(widest.root === '/' ? 0 : widest.root.length))
  // The process's path is below none of the mounts, which happens with cgroup namespaces. In a container the first mount is the
  // container's own cgroup.
  const [given] = mounts
  return given === undefined ? [] : climb(given, '')
}

function climb({ version, mountPoint }: Mount, path: string): Group[] {
  const segments = path.split('/').filter((segment) => segment !== '')
  return Array.from({ length: segments.length + 1 }, (_, up) => ({
    version,
    directory: posix.join(mountPoint, ...segments.slice(0, segments.length - up)),
  }))
}

function isWithin(path: string, root: string): boolean {
  if (path.split('/').includes('..')) return false
  return root === '/' || path === root || path.startsWith(`${root}/`)
}

/** Finds the path of the process's cgroup in one hierarchy. Lines: `<hierarchy>:<controllers>:<path>`; a path may have colons. */
function membership(
  cgroup: string,
  isWanted: (hierarchyId: string, controllers: string) => boolean,
): string | undefined {
  for (const line of cgroup.split('\n')) {
    const [, hierarchyId, controllers, path] = /^(\d+):([^:]*):(\/.*)$/.exec(line) ?? []
    if (path !== undefined && isWanted(hierarchyId ?? '', controllers ?? '')) return path
  }
  return undefined
}

/** Parses the lines `id parent device root mountPoint options tags... - type source superOptions` (proc_pid_mountinfo(5)). */
function parseMounts(mountinfo: string): Mount[] {
  return mountinfo.split('\n').flatMap((line) => {
    // Skip the mounts of other file systems, which are most lines.
    if (!line.includes(' - cgroup')) return []
    const [before, after] = line.split(' - ')
    const [, , , root, mountPoint] = before?.split(' ') ?? []
    const [type, , superOptions] = after?.split(' ') ?? []
    const version = type === 'cgroup2' ? 'v2' : type === 'cgroup' ? 'v1' : undefined
    if (version === undefined || !root?.startsWith('/') || !mountPoint?.startsWith('/')) return []
    return [
      {
        version,
        root: unescapeSpaces(root),
        mountPoint: unescapeSpaces(mountPoint),
        options: superOptions?.split(',') ?? [],
      },
    ]
  })
}

/** Decodes a path in which the kernel has written space, tab, newline and backslash as octal escapes. */
function unescapeSpaces(path: string): string {
  return path.replace(/\\(0[0-7]{2}|1[0-7]{2})/g, (_, octal: string) =>
    String.fromCharCode(parseInt(octal, 8)),
  )
}
