import { readdirSync, readlinkSync } from 'node:fs'
import { basename } from 'node:path'
import type { ThreadTime } from '../base/thread-figures'
import { readKernelFile, readSchedstat, readThreadStat, TICK_MS } from './proc'

const TASKS = '/proc/self/task'

/** Maximum number of threads whose CPU times are read at once. Reading 256 takes the calling thread about 3 ms. */
export const MOST_THREADS = 256

/** Lists the kernel's ids of all threads of this process; empty without /proc. */
export function listThreads(): number[] {
  try {
    return readdirSync(TASKS).map(Number)
  } catch {
    return []
  }
}

/** The kernel's id of the calling thread; `undefined` without /proc. */
export function ownThreadId(): number | undefined {
  return linkNumber('/proc/thread-self')
}

/** The kernel's id of the main thread, which on Linux is the process id; `undefined` without /proc. */
export function mainThreadId(): number | undefined {
  return linkNumber('/proc/self')
}

/** The kernel's name of a thread of this process, at most 15 characters; `undefined` when the thread has ended. */
export function threadName(tid: number): string | undefined {
  return readKernelFile(`${TASKS}/${tid}/comm`)?.trimEnd()
}

/**
 * Reads the CPU times of at most {@link MOST_THREADS} threads of this process from `schedstat`, which counts ns. On kernels
 * without it the source is `stat`, which counts ticks of 10 ms.
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
  // A kernel that does not measure these times shows zeros in `schedstat`.
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
