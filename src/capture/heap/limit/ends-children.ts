import { readdirSync, readlinkSync } from 'node:fs'
import { readKernelFile } from '../../../system/proc'

/** The machine's own PID namespace has this inode on every Linux: PROC_PID_INIT_INO. */
const INITIAL_PID_NAMESPACE = 'pid:[4026531836]'
/** More ancestors than any process has: /proc can change while it is read. */
const MOST_ANCESTORS = 100

/** A process above this one, as far as it can be seen. */
export interface Ancestor {
  /** Name of the program, at most 15 characters. */
  readonly name: string
  /** Number of its children; `undefined` where the kernel does not list them. */
  readonly children: number | undefined
}

/** Inits of containers, which end when their first child does. They adopt orphans, and can so have several children. */
const CONTAINER_INITS: readonly string[] = ['tini', 'docker-init', 'dumb-init', 'catatonit', 'podman-init']

/**
 * Whether the end of a process also ends its PID namespace, and thereby its children: if it is PID 1, or if all processes
 * between it and PID 1, and that itself, do nothing but wait for their child. Such are a container's init, and whatever
 * has one child only: a shell, npm, a script. A supervisor with several children goes on. One with a single child is held
 * in vain, and restarts that later.
 *
 * @param isInitialNamespace - Whether the PID namespace is that of the machine, whose PID 1 does not end.
 * @param ancestors - From the parent to PID 1; `undefined` when PID 1 is no ancestor, as in `docker exec`.
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

/** {@link endsItsChildren} for this process. */
export function endsItsChildrenHere(): boolean {
  return endsItsChildren(process.pid, isInitialPidNamespace(), readAncestors())
}

/** Whether this process is in the machine's own PID namespace, not in that of a container. `false` where that is hidden. */
function isInitialPidNamespace(): boolean {
  try {
    return readlinkSync('/proc/self/ns/pid') === INITIAL_PID_NAMESPACE
  } catch {
    return false
  }
}

/**
 * The processes above one, from its parent to PID 1.
 *
 * @returns `undefined` when PID 1 is not above it, or /proc does not show it.
 */
function readAncestors(): readonly Ancestor[] | undefined {
  const ancestors: Ancestor[] = []
  let pid = isProcOfOwnNamespace() ? process.ppid : 0
  while (pid > 0 && ancestors.length < MOST_ANCESTORS) {
    const stat = readKernelFile(`/proc/${pid}/stat`)
    // The name may hold brackets too. Fields after it have a fixed order: state, parent.
    const [, name, parent] = /^\d+ \((.*)\) \S+ (\d+) /s.exec(stat ?? '') ?? []
    if (name === undefined) return undefined
    ancestors.push({ name, children: countChildren(pid) })
    if (pid === 1) return ancestors
    pid = Number(parent)
  }
  return undefined
}

/** In a new PID namespace /proc can still be that of the old one, with other numbers. */
function isProcOfOwnNamespace(): boolean {
  try {
    return Number(readlinkSync('/proc/self')) === process.pid
  } catch {
    return false
  }
}

/** A process's children belong to the threads that forked them. */
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
