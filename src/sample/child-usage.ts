import { readFileSync } from 'node:fs'

/** What a child of ours is doing, as the kernel tells it. */
export interface ChildUsage {
  /** User and system time used so far, kernel ticks. */
  readonly cpuTicks: number
  /** R runs, S sleeps, D waits for a disk, T is stopped, Z has ended. */
  readonly state: string
  /** Anonymous memory in its page tables, bytes. Pages that it still shares with its parent are counted in. */
  readonly anonymousBytes: number
}

/** @returns `undefined` when there is no such process, or no /proc. */
export function readChildUsage(pid: number): ChildUsage | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name in brackets may hold anything; what follows its last bracket has a fixed order.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    const anonymousKb = /^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1] ?? '0'
    return {
      state: fields[0] ?? '',
      cpuTicks: Number(fields[11]) + Number(fields[12]),
      anonymousBytes: Number(anonymousKb) * 1024,
    }
  } catch {
    return undefined
  }
}
