import { readdirSync, readlinkSync } from 'node:fs'
import { basename } from 'node:path'
import type { ThreadTime } from '../base/thread-figures'
import { readKernelFile, readSchedstat, readThreadStat } from './proc'

const TASKS = '/proc/self/task'

/** Most threads that one reading looks at: 256 take about 3 ms of the calling thread. */
export const MOST_THREADS = 256

/** The kernel's ticks, of 10 ms on each Linux that Node.js runs on. */
const TICK_MS = 10

/** The kernel's numbers of all threads of this process; none where there is no /proc. */
export function listThreads(): number[] {
  try {
    return readdirSync(TASKS).map(Number)
  } catch {
    return []
  }
}

/** The kernel's number of the calling thread. */
export function ownThreadId(): number | undefined {
  return linkNumber('/proc/thread-self')
}

/** The kernel's number of the main thread: on Linux that of the process, as /proc shows it. */
export function mainThreadId(): number | undefined {
  return linkNumber('/proc/self')
}

/** The kernel's name of a thread, at most 15 characters; `undefined` when it has ended. */
export function threadName(tid: number): string | undefined {
  return readKernelFile(`${TASKS}/${tid}/comm`)?.trimEnd()
}

/**
 * Reads the CPU time of the threads, at most {@link MOST_THREADS} of them, in ns from `schedstat` where the kernel keeps it, else in
 * ticks from `stat`.
 */
export function readThreadTimes(): ThreadTime[] {
  return listThreads()
    .slice(0, MOST_THREADS)
    .flatMap((tid) => {
      const time = timeOf(tid)
      return time ? [{ tid, ...time }] : []
    })
}

function timeOf(tid: number): Omit<ThreadTime, 'tid'> | undefined {
  const schedstat = readSchedstat(tid)
  // A kernel without the counters shows zeros.
  if (schedstat && schedstat.ranMs > 0) return { cpuMs: schedstat.ranMs, waitMs: schedstat.waitedMs }
  const stat = readThreadStat(`${TASKS}/${tid}`)
  return stat && { cpuMs: stat.cpuTicks * TICK_MS, waitMs: NaN }
}

function linkNumber(path: string): number | undefined {
  try {
    const number = Number(basename(readlinkSync(path)))
    return Number.isSafeInteger(number) ? number : undefined
  } catch {
    return undefined
  }
}
