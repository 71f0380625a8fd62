import { posix } from 'node:path'
import type { ReadKernelFile } from './kernel-files'

export type CgroupVersion = 'v1' | 'v2'
export type Controller = 'memory' | 'cpu'

/** One directory of the cgroup file system that a process is in, itself or through its children. */
export interface Group {
  readonly version: CgroupVersion
  readonly directory: string
}

interface Mount {
  readonly version: CgroupVersion
  /** Which part of the hierarchy is mounted: a path in it. */
  readonly root: string
  readonly mountPoint: string
  readonly options: readonly string[]
}

/** Finds the groups that limit this process, as {@link findGroups} does; none where the system has no such files. */
export function readGroups(read: ReadKernelFile, controller: Controller): Group[] {
  return findGroups(read('/proc/self/mountinfo') ?? '', read('/proc/self/cgroup') ?? '', controller)
}

/**
 * Finds the groups that limit a process: its own first, then each ancestor up to where the hierarchy is mounted. Ancestors
 * count, because a group can use no more than any of them allows. On a hybrid machine both versions are mounted; the
 * controller is in one of them and its files are found there only, so both are listed.
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

function groupsOf(mounts: readonly Mount[], path: string | undefined): Group[] {
  if (path === undefined) return []
  const [widest] = mounts
    .filter(({ root }) => isWithin(path, root))
    .sort((one, other) => one.root.length - other.root.length)
  if (widest !== undefined) return climb(widest, path.slice(widest.root === '/' ? 0 : widest.root.length))
  // The path lies outside of what is mounted: behind a cgroup namespace, or mounted from outside of ours. What is
  // mounted first is what a container was given as its own.
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

/** Finds the process's path in one hierarchy. Lines read `<hierarchy>:<controllers>:<path>`; the path may hold colons. */
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

/** Lines read `id parent device root mountPoint options tags... - type source superOptions` (proc_pid_mountinfo(5)). */
function parseMounts(mountinfo: string): Mount[] {
  return mountinfo.split('\n').flatMap((line) => {
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

/** The kernel writes space, tab, newline and backslash as octal. */
function unescapeSpaces(path: string): string {
  return path.replace(/\\(0[0-7]{2}|1[0-7]{2})/g, (_, octal: string) =>
    String.fromCharCode(parseInt(octal, 8)),
  )
}
