import { closeSync, existsSync, openSync, readlinkSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import { isMainThread } from 'node:worker_threads'
import type pidusage from 'pidusage'
import { firstLineOf } from '../base/globals'
import { clearTimeout, monotonicMs, setTimeout } from '../base/time'
import { readResidentBytes } from './proc'

/** CPU time of this whole process, all threads, since it started. */
export interface CpuTime {
  /** Source of the readings, and the reason when it is not pidusage, for the log line at start. */
  readonly source: string
  /** @returns CPU time, ms. From pidusage on Linux in steps of 10 ms. */
  read(): Promise<number>
}

/**
 * Chooses, once and without a reading, how the CPU time of this process is read: by pidusage on the watchdog thread,
 * else by Node's counters. On the main thread pidusage would be the instance that the application may use: its history
 * would be shared, and the file descriptor that it opens could not be closed. The watchdog thread has an instance of
 * its own.
 *
 * @param onFailure - Called once, with the reason, when pidusage fails later. Node's counters count the same time, so
 * they continue where it stopped, and pidusage is not tried again.
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

const ON_MAIN_THREAD = 'pidusage is only used on the watchdog thread'

function nodeCpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

/** Memory of another process at the time of the reading. */
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
 * Reads the memory of other processes, all of them in one call of pidusage. A pid that has ended is absent from the
 * answer.
 *
 * For processes that are missing in pidusage's answer, `/proc/<pid>/status` is read: pidusage reports a process that it
 * could not read as ended, and a worker over its hard limit must be seen even then, and when pidusage fails.
 *
 * @throws (as a rejection) When `/proc` is missing or belongs to another PID namespace, where only this process can be
 * read; and when a process exists but cannot be read.
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

/** Reads one number about this process. A sampler owns its baseline, never a timer: the caller decides when to read. */
export interface Sampler {
  /**
   * Takes one reading.
   *
   * @returns The reading in the sampler's unit, or `undefined` while there is no baseline to compare with.
   * @throws When the operating system gives no answer. The next call has no baseline.
   */
  sample(): number | undefined | Promise<number | undefined>
}

/** Samples the resident set size of this process, bytes. Every sample has a value, the first too. */
export function memorySampler(): Sampler {
  return { sample: () => process.memoryUsage.rss() }
}

/** CPU time that a process had used at some moment. */
interface CpuMark {
  /** Time of the mark, monotonic clock, ms. */
  readonly nowMs: number
  /** CPU time since the process started, ms. */
  readonly cpuMs: number
}

/** CPU time in `/proc` grows in steps of 10 ms: over a shorter time, a percentage is noise. */
export const SHORTEST_SPAN_MS = 10

/**
 * CPU use between two marks.
 *
 * @returns Percent of one core (250 is two and a half cores), or `undefined` when the marks are closer than
 * {@link SHORTEST_SPAN_MS}.
 */
export function cpuPercent(from: CpuMark, to: CpuMark): number | undefined {
  const spanMs = to.nowMs - from.nowMs
  if (!(spanMs >= SHORTEST_SPAN_MS)) return undefined
  return (Math.max(0, to.cpuMs - from.cpuMs) / spanMs) * 100
}

/**
 * Samples the CPU use of this whole process, all threads, in percent of one core since the previous sample.
 *
 * The first sample, and the first after a failed one, is `undefined`; so is one that follows the previous within 10 ms,
 * which then leaves the baseline where it is.
 */
export function cpuSampler(cpuTime: Pick<CpuTime, 'read'>, now: () => number = monotonicMs): Sampler {
  let baseline: CpuMark | undefined
  return {
    async sample() {
      const previous = baseline
      // No baseline until the reading has succeeded: after a failure, the span would be unknown.
      baseline = undefined
      const mark: CpuMark = { cpuMs: await cpuTime.read(), nowMs: now() }
      const percent = previous && cpuPercent(previous, mark)
      baseline = previous !== undefined && percent === undefined ? previous : mark
      return percent
    },
  }
}

/** Reading of one process by pidusage. */
interface Status {
  /** CPU time of the process, ms. */
  readonly ctime: number
  /** Resident memory, bytes. */
  readonly memory: number
}

/** Reads several processes in one call. A process that has ended, or that pidusage could not read, is absent. */
export type AskPidusage = (pids: readonly number[]) => Promise<Map<number, Status>>

/** Deadline for an answer of pidusage, ms. It reads in libuv's thread pool, which the application may keep busy. */
export const ANSWER_DEADLINE_MS = 1000

/**
 * Time that pidusage keeps the descriptor of a process after the last reading, ms. Only expiry closes it: `clear()`
 * leaves it open. Much longer than an event loop stands still: if an entry expires while it is being read, pidusage
 * later closes that descriptor's number a second time, when it may be the application's. With 0, a reading of pidusage
 * never ends.
 */
const MAX_AGE_MS = 10 * 60 * 1000

/**
 * Loads pidusage and checks, without a reading, whether it can be used here.
 *
 * @param platform - As `process.platform`.
 * @param load - Loads the package.
 * @returns The function that reads, or the reason why pidusage cannot be used.
 */
export function loadPidusage(
  platform: NodeJS.Platform = process.platform,
  load: () => unknown = requirePidusage,
): AskPidusage | string {
  if (platform !== 'linux') return `pidusage would start a program for each reading on ${platform}`
  try {
    assertOwnProc()
    // Set in this thread's copy of the environment, or pidusage prints a stack when it cannot start `getconf`.
    if (!isMainThread) process.env.PIDUSAGE_SILENT = 'true'
    const why = whyNoGetconf()
    if (why !== undefined) return why
    return asker(load() as typeof pidusage)
  } catch (error) {
    return `pidusage failed: ${firstLineOf(error)}`
  }
}

/** Loaded when first needed. By its literal name, so that a bundler includes it. */
function requirePidusage(): unknown {
  return require('pidusage')
}

/** @throws When `/proc` belongs to another PID namespace, where this process's pid belongs to another process. */
function assertOwnProc(): void {
  const self = readlinkSync('/proc/self')
  if (self !== String(process.pid))
    throw new Error(`/proc is of another PID namespace: it shows process ${process.pid} as ${self}`)
}

/**
 * pidusage starts `getconf` through a shell at its first reading; where that is missing, it prints two stacks to
 * stderr. A relative or empty entry of PATH is below the working directory, where another user may have put a program
 * of that name.
 */
function whyNoGetconf(): string | undefined {
  const directories = (process.env.PATH ?? '/usr/bin:/bin').split(':')
  if (!directories.every((directory) => isAbsolute(directory)))
    return 'pidusage starts the program getconf, and PATH includes the working directory'
  const isThere = existsSync('/bin/sh') && directories.some((each) => existsSync(join(each, 'getconf')))
  return isThere ? undefined : 'pidusage needs the program getconf, which is not in PATH'
}

function asker(read: typeof pidusage): AskPidusage {
  return (pids) =>
    new Promise((resolve, reject) => {
      // Without a free descriptor, pidusage prints a warning to stderr for each reading.
      closeSync(openSync('/proc/uptime', 'r'))
      const timer = setTimeout(() => {
        // The entry must not expire while its reading hangs, see MAX_AGE_MS.
        read.clear()
        reject(new Error(`no answer for ${ANSWER_DEADLINE_MS} ms`))
      }, ANSWER_DEADLINE_MS).unref()
      // Both options are given: pidusage takes missing ones from PIDUSAGE_USE_PS and PIDUSAGE_MAXAGE.
      read([...pids], { usePs: false, maxage: MAX_AGE_MS }, (error: Error | null | undefined, stats) => {
        clearTimeout(timer)
        if (error && !isGone(error)) reject(error)
        else resolve(statusByPid(pids, stats))
      })
    })
}

function statusByPid(
  pids: readonly number[],
  stats: Record<string, Status | null | undefined> | undefined,
): Map<number, Status> {
  return new Map(
    pids.flatMap((pid) => {
      const status = stats?.[pid]
      return status && Number.isFinite(status.ctime) && Number.isFinite(status.memory) ? [[pid, status]] : []
    }),
  )
}

/** Whether a process ended: before its file was opened (ENOENT), or between that and the reading (ESRCH). */
function isGone({ code }: NodeJS.ErrnoException): boolean {
  return code === 'ENOENT' || code === 'ESRCH'
}
