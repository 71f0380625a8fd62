import { readdirSync, readlinkSync } from 'node:fs'
import { basename } from 'node:path'
import type { ThreadTime } from '../base/thread-figures'
import { readKernelFile, readSchedstat, readThreadStat, TICK_MS } from './proc'

const TASKS = '/proc/self/task'

/** Number of threads that one reading covers, at most: 256 cost the calling thread about 3 ms. */
export const MOST_THREADS = 256

/** The kernel's ids of all threads of this process; none where there is no /proc. */
export function listThreads(): number[] {
  try {
    return readdirSync(TASKS).map(Number)
  } catch {
    return []
  }
}

/** The kernel's id of the calling thread. */
export function ownThreadId(): number | undefined {
  return linkNumber('/proc/thread-self')
}

/** The kernel's id of the main thread: on Linux the process id, as /proc shows it. */
export function mainThreadId(): number | undefined {
  return linkNumber('/proc/self')
}

/** The kernel's name of a thread, at most 15 characters; `undefined` when the thread has ended. */
export function threadName(tid: number): string | undefined {
  return readKernelFile(`${TASKS}/${tid}/comm`)?.trimEnd()
}

/**
 * Reads the CPU times of at most {@link MOST_THREADS} threads of this process: from `schedstat`, which has ns, where
 * the kernel keeps it, else from `stat`, which has ticks.
 */
export function readThreadTimes(): ThreadTime[] {
  const times: ThreadTime[] = []
  for (const tid of listThreads().slice(0, MOST_THREADS)) {
    const time = timeOf(tid)
    if (time) times.push(time)
  }
  return times
}

function timeOf(tid: number): ThreadTime | undefined {
  const schedstat = readSchedstat(tid)
  // A kernel that does not count these times shows zeros.
  if (schedstat && schedstat.ranMs > 0) return { tid, cpuMs: schedstat.ranMs, waitMs: schedstat.waitedMs }
  const stat = readThreadStat(`${TASKS}/${tid}`)
  return stat && { tid, cpuMs: stat.cpuTicks * TICK_MS, waitMs: NaN }
}

function linkNumber(path: string): number | undefined {
  try {
    const number = Number(basename(readlinkSync(path)))
    return Number.isSafeInteger(number) ? number : undefined
  } catch {
    return undefined
  }
}
