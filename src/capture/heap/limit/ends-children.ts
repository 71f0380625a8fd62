import { readdirSync, readlinkSync } from 'node:fs'
import { readKernelFile } from '../../../system/proc'

/** Target of `/proc/self/ns/pid` in the machine's own PID namespace. The kernel fixes its inode number (PROC_PID_INIT_INO). */
const INITIAL_PID_NAMESPACE = 'pid:[4026531836]'
/** Maximum number of ancestors to read, more than any process has: /proc can change meanwhile, which could make a loop. */
const MOST_ANCESTORS = 100

/** An ancestor of this process, as /proc shows it. */
export interface Ancestor {
  /** Name of the program, at most 15 characters. */
  readonly name: string
  /** Number of child processes; `undefined` where the kernel does not list them. */
  readonly children: number | undefined
}

/** Init programs of containers, which end when their first child ends. They adopt orphans, so they may have more children. */
const CONTAINER_INITS: readonly string[] = ['tini', 'docker-init', 'dumb-init', 'catatonit', 'podman-init']

/**
 * Whether the end of a process also ends its PID namespace, and so kills its children. That is so if the process is PID 1,
 * or if each ancestor up to and including PID 1 presumably only waits for its child. An ancestor counts as such if it is
 * the init of a container or has only one child: a shell, npm, a script. A supervisor with several children does not end
 * with one of them. A supervisor with a single child is mistaken for a script. Its child then waits longer at its heap limit
 * before it ends, and is restarted a little later.
 *
 * @param isInitialNamespace - Whether the PID namespace is that of the machine, whose PID 1 never ends.
 * @param ancestors - From the parent to PID 1; `undefined` when PID 1 is not an ancestor, as in `docker exec`.
 */
export function endsItsChildren(
  pid: number,
  isInitialNamespace: boolean,
  ancestors: readonly Ancestor[] | undefined,
): boolean {
  if (pid === 1) return true
  if (isInitialNamespace || ancestors === undefined) return false
  return ancestors.every(({ name, children = 1 }) => children <= 1 || CONTAINER_INITS.includes(name))
}

/** Whether the end of this process would also end its PID namespace, and so kill a child that it has forked. */
export function endsItsChildrenHere(): boolean {
  return endsItsChildren(process.pid, isInitialPidNamespace(), readAncestors())
}

/** Whether this process is in the machine's own PID namespace, not in a container's. `false` where /proc does not show it. */
function isInitialPidNamespace(): boolean {
  try {
    return readlinkSync('/proc/self/ns/pid') === INITIAL_PID_NAMESPACE
  } catch {
    return false
  }
}

/**
 * Returns the ancestors of this process, from its parent to PID 1.
 *
 * @returns `undefined` when PID 1 is not an ancestor, or /proc does not show all of them.
 */
function readAncestors(): readonly Ancestor[] | undefined {
  const ancestors: Ancestor[] = []
  let pid = isProcOfOwnNamespace() ? process.ppid : 0
  while (pid > 0 && ancestors.length < MOST_ANCESTORS) {
    const stat = readKernelFile(`/proc/${pid}/stat`)
    // Format: `pid (name) state parent …`. The name may contain brackets and spaces.
    const [, name, parent] = /^\d+ \((.*)\) \S+ (\d+) /s.exec(stat ?? '') ?? []
    if (name === undefined) return undefined
    ancestors.push({ name, children: countChildren(pid) })
    if (pid === 1) return ancestors
    pid = Number(parent)
  }
  return undefined
}

/** Whether /proc is that of this PID namespace. In a new namespace it can still be the old one's, with other pids. */
function isProcOfOwnNamespace(): boolean {
  try {
    return Number(readlinkSync('/proc/self')) === process.pid
  } catch {
    return false
  }
}

/** Counts the children of a process: of each of its threads, because the kernel lists children by the thread that forked. */
function countChildren(pid: number): number | undefined {
  try {
    const lists = readdirSync(`/proc/${pid}/task`).map((id) =>
      readKernelFile(`/proc/${pid}/task/${id}/children`),
    )
    if (lists.includes(undefined)) return undefined
    return lists.join(' ').split(' ').filter(Boolean).length
  } catch {
    return undefined
  }
}
