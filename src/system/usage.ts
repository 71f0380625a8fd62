import { isMainThread } from 'node:worker_threads'

import { firstLineOf } from '../base/error-text'
import { assertOwnProc, loadPidusage, type AskPidusage, type Status } from './pidusage'
import { readResidentBytes } from './proc'

/** CPU time of the whole own process, all threads, since it started. */
export interface CpuTime {
  /** Where it is read, and why not by pidusage: for the line at start. */
  readonly source: string
  /** @returns ms. On Linux, by pidusage, in steps of 10 ms. */
  read(): Promise<number>
}

/**
 * Chooses, once and without a reading, how the own process's CPU time is read: by pidusage on the watchdog thread, else by
 * Node's counters. On the main thread pidusage is the application's instance: its history is shared, and the descriptor that it
 * opens cannot be given back. The thread has an instance of its own, which ends with the thread.
 *
 * @param onFailure - Called once, with the reason, when pidusage fails later. Node's counters count the same time, so they
 * continue where it stopped, and pidusage is not tried again.
 */
export function ownCpuTime(
  onFailure: (why: string) => void,
  chosen: AskPidusage | string = isMainThread ? ON_MAIN_THREAD : loadPidusage(),
): CpuTime {
  let ask = typeof chosen === 'string' ? undefined : chosen
  return {
    source: typeof chosen === 'string' ? `Node's counters (${chosen})` : 'pidusage',
    async read() {
      if (ask === undefined) return nodeCpuMs()
      try {
        const own = (await ask([process.pid])).get(process.pid)
        if (own === undefined) throw new Error('it did not find this process')
        return own.ctime
      } catch (error) {
        ask = undefined
        onFailure(`pidusage failed: ${firstLineOf(error)}`)
        return nodeCpuMs()
      }
    },
  }
}

const ON_MAIN_THREAD = 'pidusage is used on a thread of its own only'

function nodeCpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

/** What another process uses at the time of the reading. */
export interface ProcessUsage {
  /** Resident set size, bytes. */
  readonly rssBytes: number
}

let loaded: AskPidusage | string | undefined

/** Loads pidusage once; a failure is final. */
const sharedPidusage: AskPidusage = async (pids) => {
  loaded ??= loadPidusage()
  if (typeof loaded === 'string') return new Map()
  try {
    return await loaded(pids)
  } catch (error) {
    loaded = firstLineOf(error)
    return new Map()
  }
}

/**
 * Reads the memory of other processes, all of them in one call of pidusage. A pid that has ended is absent from the answer.
 *
 * `/proc/<pid>/status` is read for the processes that pidusage did not answer for. pidusage reports one that it could not read
 * as one that has ended, and a worker over its hard limit must not go unseen for that, nor for a package that fails.
 *
 * @throws (as a rejection) Where `/proc` is missing or of another PID namespace: there only the own process can be read; and
 * when a process exists but cannot be read.
 */
export async function processUsage(
  pids: readonly number[],
  ask: AskPidusage = sharedPidusage,
): Promise<Map<number, ProcessUsage>> {
  if (process.platform !== 'linux') throw new Error(`other processes cannot be read on ${process.platform}`)
  assertOwnProc()
  const answers = pids.length > 0 ? await ask(pids) : new Map<number, Status>()
  return new Map(
    pids.flatMap((pid) => {
      const rssBytes = answers.get(pid)?.memory ?? readResidentBytes(pid)
      return rssBytes === undefined ? [] : [[pid, { rssBytes }]]
    }),
  )
}
