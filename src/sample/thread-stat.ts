import { readFileSync } from 'node:fs'

/** What the kernel says of a process, or of one thread, in its file `stat`. */
export interface ThreadStat {
  /** R runs, S sleeps, D waits for a disk, T is stopped, Z has ended. */
  readonly state: string
  /** User and system time used so far, kernel ticks. */
  readonly cpuTicks: number
}

/**
 * @param directory - `/proc/<pid>`, or `/proc/<pid>/task/<thread id>`.
 * @returns `undefined` when there is no such process, or no /proc.
 */
export function readThreadStat(directory: string): ThreadStat | undefined {
  try {
    return parseThreadStat(readFileSync(`${directory}/stat`, 'utf8'))
  } catch {
    return undefined
  }
}

/** The name in brackets may hold spaces and brackets of its own; what follows its last bracket has a fixed order. */
export function parseThreadStat(stat: string): ThreadStat {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return { state: fields[0] ?? '', cpuTicks: Number(fields[11]) + Number(fields[12]) }
}
