import { readFileSync } from 'node:fs'
import { readThreadStat, type ThreadStat } from './thread-stat'

/** What a child of ours is doing, as the kernel tells it. */
export interface ChildUsage extends ThreadStat {
  /** Anonymous memory in its page tables, bytes. Pages that it still shares with its parent are counted in. */
  readonly anonymousBytes: number
}

/** @returns `undefined` when there is no such process, or no /proc. */
export function readChildUsage(pid: number): ChildUsage | undefined {
  try {
    const stat = readThreadStat(`/proc/${pid}`)
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    const anonymousKb = /^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1] ?? '0'
    return stat && { ...stat, anonymousBytes: Number(anonymousKb) * 1024 }
  } catch {
    return undefined
  }
}
