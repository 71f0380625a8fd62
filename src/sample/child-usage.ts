import { readFileSync } from 'node:fs'
import { kernelFiles } from './kernel-files'
import { readThreadStat, type ThreadStat } from './thread-stat'

/** What a child of ours is doing, as the kernel tells it. */
export interface ChildUsage extends ThreadStat {
  /** Whether its main thread waits on a lock (futex(2)). False too where the system does not tell. */
  readonly isLocked: boolean
  /** Anonymous memory in its page tables, bytes. Pages that it still shares with its parent are counted in. */
  readonly anonymousBytes: number
}

/** @returns `undefined` when there is no such process, or no /proc. */
export function readChildUsage(pid: number): ChildUsage | undefined {
  try {
    const stat = readThreadStat(`/proc/${pid}`)
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    const anonymousKb = /^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1] ?? '0'
    return stat && { ...stat, isLocked: isLocked(pid), anonymousBytes: Number(anonymousKb) * 1024 }
  } catch {
    return undefined
  }
}

const read = kernelFiles('/')

/** The number of futex(2) among the system calls. */
const FUTEX = process.arch === 'arm64' ? '98' : '202'

/**
 * By the kernel's function in which it waits (futex_wait_queue, futex_do_wait and others, by the kernel's version), which some
 * kernels call 0; or else by its system call.
 */
function isLocked(pid: number): boolean {
  const waitsIn = read(`/proc/${pid}/wchan`) ?? ''
  return waitsIn.startsWith('futex') || (read(`/proc/${pid}/syscall`) ?? '').startsWith(`${FUTEX} `)
}
