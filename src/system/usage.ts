import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  lstatSync,
  openSync,
  readlinkSync,
  type Stats,
  statSync,
} from 'node:fs'
import { isAbsolute, join } from 'node:path'
import { isMainThread } from 'node:worker_threads'
import type pidusage from 'pidusage'
import { firstLineOf } from '../base/globals'
import { refuseStranger } from '../base/strangers'
import { clearTimeout, monotonicMs, setTimeout } from '../base/time'
import { whyCreatable, whyOpen } from '../files/owners'
import { readResidentBytes } from './proc'

/** A reader of the CPU time that all threads of this process have used since it started. */
export interface CpuTime {
  /** Source of the readings, and the reason if it is not pidusage; for the log line at start. */
  readonly source: string
  /** @returns CPU time, ms. On Linux pidusage counts in steps of 10 ms. */
  read(): Promise<number>
}

/**
 * Chooses once how the CPU time of this process is read: by pidusage on the watchdog thread if it works there, otherwise by
 * `process.cpuUsage()`. The watchdog thread has its own instance of pidusage. On the main thread the instance may be that of the
 * application: both would share its history, and the file descriptor that pidusage opens could not be closed.
 *
 * @param onFailure - Called once, with the reason, when pidusage fails later. From then on `process.cpuUsage()` is read, which
 * counts the same time, and pidusage is not tried again.
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
        if (own === undefined) throw new Error(`it returned no CPU time of this process (pid ${process.pid})`)
        return own.ctime
      } catch (error) {
        ask = undefined
        onFailure(`pidusage failed: ${firstLineOf(error)}`)
        return nodeCpuMs()
      }
    },
  }
}

const ON_MAIN_THREAD = 'on the main thread pidusage is not used for them'

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

/** Reads processes with pidusage, loaded at the first call. After the first failure, every answer is empty. */
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
 * Reads the memory of other processes, all in one call of pidusage. Processes that have ended are absent from the result.
 *
 * A process that is missing in pidusage's answer is read from `/proc/<pid>/status`. pidusage omits not only processes that have
 * ended, but also those that it could not read. A cluster worker above its hard memory limit must be found even then, and even
 * when pidusage fails.
 *
 * @throws (as a rejection) When the system is not Linux, when `/proc` is missing or belongs to another PID namespace, and when a
 * process exists but cannot be read.
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

/** Takes readings of one figure, such as the CPU use of this process. The caller decides when a reading is taken. */
export interface Sampler {
  /**
   * Takes one reading.
   *
   * @returns The reading in the sampler's unit; `undefined` if there is none now, for example because the figure is computed from
   * two readings and this is the first.
   * @throws When the operating system gives no answer. The next call then counts as the first.
   */
  sample(): number | undefined | Promise<number | undefined>
}

/** Samples the resident memory of this process, bytes. Every sample has a value, even the first. */
export function memorySampler(): Sampler {
  return { sample: () => process.memoryUsage.rss() }
}

/** CPU time that a process had used at one moment. */
interface CpuMark {
  /** Time of the mark, monotonic clock, ms. */
  readonly nowMs: number
  /** CPU time since the process started, ms. */
  readonly cpuMs: number
}

/** Minimum time between two readings from which a CPU percentage is computed, ms. CPU time in `/proc` grows in steps of 10 ms. */
export const SHORTEST_SPAN_MS = 10

/**
 * Computes the CPU use between two moments.
 *
 * @returns Percent of one core (250 is two and a half cores), or `undefined` when the moments are closer than
 * {@link SHORTEST_SPAN_MS}.
 */
export function cpuPercent(from: CpuMark, to: CpuMark): number | undefined {
  const spanMs = to.nowMs - from.nowMs
  if (!(spanMs >= SHORTEST_SPAN_MS)) return undefined
  return (Math.max(0, to.cpuMs - from.cpuMs) / spanMs) * 100
}

/**
 * Samples the CPU use of this process, all threads, in percent of one core since the previous sample.
 *
 * The first sample is `undefined`, and so is the first after a failed one. A sample within 10 ms of the previous one is
 * `undefined` too, and the next sample covers the whole time since that previous one.
 */
export function cpuSampler(cpuTime: Pick<CpuTime, 'read'>, now: () => number = monotonicMs): Sampler {
  let baseline: CpuMark | undefined
  return {
    async sample() {
      const previous = baseline
      // If the reading fails, the next sample must not compare with an older one, so drop the baseline first.
      baseline = undefined
      const mark: CpuMark = { cpuMs: await cpuTime.read(), nowMs: now() }
      const percent = previous && cpuPercent(previous, mark)
      baseline = previous !== undefined && percent === undefined ? previous : mark
      return percent
    },
  }
}

/** What pidusage reports about one process. */
interface Status {
  /** CPU time of the process, ms. */
  readonly ctime: number
  /** Resident memory, bytes. */
  readonly memory: number
}

/** Reads several processes in one call. A process that has ended, or that pidusage could not read, is absent from the result. */
export type AskPidusage = (pids: readonly number[]) => Promise<Map<number, Status>>

/** Maximum wait for an answer of pidusage, ms. pidusage reads in libuv's thread pool, which the application may keep busy. */
export const ANSWER_DEADLINE_MS = 1000

/**
 * Time that pidusage keeps the file descriptor of a process open after the last reading, ms. The descriptor is closed only when
 * this time is over; pidusage's `clear()` leaves it open. The time must be much longer than an event loop may be blocked: if it
 * is over during a reading, pidusage later closes the same descriptor number again, which may then belong to a file of the
 * application. With 0, a reading of pidusage never ends.
 */
const MAX_AGE_MS = 10 * 60 * 1000

/**
 * Loads pidusage and checks, without a reading, whether it works on this machine.
 *
 * @param platform - Value of `process.platform`.
 * @param load - Loads the package.
 * @returns The function that reads processes, or the reason why pidusage cannot be used.
 */
export function loadPidusage(
  platform: NodeJS.Platform = process.platform,
  load: () => unknown = requirePidusage,
): AskPidusage | string {
  if (platform !== 'linux') return `pidusage would start a program for each reading on ${platform}`
  try {
    assertOwnProc()
    // Without this variable, pidusage prints a stack trace if it cannot start `getconf`. Other threads do not see the variable.
    if (!isMainThread) process.env.PIDUSAGE_SILENT = 'true'
    const why = whyNoGetconf()
    if (why !== undefined) return why
    return asker(load() as typeof pidusage)
  } catch (error) {
    return `pidusage failed: ${firstLineOf(error)}`
  }
}

/**
 * Loads pidusage when first needed. The literal name lets a bundler include the package.
 *
 * @throws When Node.js finds no pidusage, or, in a directory above this library, one that belongs to another user.
 */
function requirePidusage(): unknown {
  refuseStranger('pidusage')
  return require('pidusage')
}

/** @throws When `/proc` belongs to another PID namespace, in which this process's pid means another process. */
function assertOwnProc(): void {
  const self = readlinkSync('/proc/self')
  if (self !== String(process.pid))
    throw new Error(
      `/proc belongs to another PID namespace, in which this process has pid ${self} instead of ${process.pid}`,
    )
}

/**
 * Returns why pidusage cannot use the program `getconf`, or `undefined` if it can. pidusage starts this program through a shell
 * at its first reading, and prints two stack traces to stderr when the program is missing. The shell takes the first `getconf`
 * in PATH, so another user must not be able to put a program of that name there.
 */
function whyNoGetconf(): string | undefined {
  const directories = (process.env.PATH ?? '/usr/bin:/bin').split(':')
  if (!directories.every((directory) => isAbsolute(directory)))
    return 'pidusage would start the program getconf, and PATH has an entry that depends on the working directory'
  for (const directory of existsSync('/bin/sh') ? directories : []) {
    // A directory is judged even if it has no `getconf`: another user could put one there, which the shell would then find first.
    const why = whyPlanted(`${directory}/getconf`)
    if (why !== undefined) return `pidusage would start the program getconf, and in PATH ${why}`
    if (isProgram(`${directory}/getconf`)) return undefined
  }
  return 'pidusage needs the programs /bin/sh and getconf (in PATH), and one is missing'
}

/** Whether a shell would start this file. */
function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return statSync(file).isFile()
  } catch {
    return false
  }
}

/** Maximum number of symbolic links that are followed on the way to a program. The kernel follows as many. */
const MAX_LINKS = 40

/**
 * Returns why another user can put a file of his own at this path, where there may be none yet; `undefined` if he cannot.
 * Follows the path as the kernel does, and judges each directory and each symbolic link on the way.
 */
function whyPlanted(path: string): string | undefined {
  const names = path.split('/')
  let [at, stats, links] = ['/', lstatSync('/'), 0]
  const whyHere = (): string | undefined => {
    const why = whyOpen(at, stats)
    return why && `${at} ${why}`
  }
  for (let name = names.shift(); name !== undefined; name = names.shift()) {
    const why = whyHere()
    if (why !== undefined) return why
    if (name === '' || name === '.') continue
    const above = stats
    const next = join(at, name)
    const entry = name === '..' ? lstatSync(next) : lookAt(next)
    if (!entry) {
      // The sticky bit of a directory protects its existing entries from other users, but they can still create new ones.
      const whyNew = whyCreatable(at, above)
      return whyNew && `${at} ${whyNew}`
    }
    if (!entry.isSymbolicLink()) {
      at = next
      stats = entry
      continue
    }
    const whyLink = whyOpen(next, entry)
    if (whyLink !== undefined) return `${next} ${whyLink}`
    if (++links > MAX_LINKS) return `${path} leads through more than ${MAX_LINKS} symbolic links`
    const target = readlinkSync(next)
    if (isAbsolute(target)) [at, stats] = ['/', lstatSync('/')]
    names.unshift(...target.split('/'))
  }
  return whyHere()
}

/** @returns `undefined` for a file that does not exist or cannot be reached: the shell does not find it either. */
function lookAt(path: string): Stats | undefined {
  try {
    return lstatSync(path)
  } catch {
    return undefined
  }
}

function asker(read: typeof pidusage): AskPidusage {
  return (pids) =>
    new Promise((resolve, reject) => {
      // Throws if no file descriptor is free. pidusage would then print a warning to stderr for each reading.
      closeSync(openSync('/proc/uptime', 'r'))
      const timer = setTimeout(() => {
        // Makes pidusage forget the process. Otherwise MAX_AGE_MS could be over while the reading hangs, and pidusage would later
        // close a file descriptor of the application.
        read.clear()
        reject(new Error(`no answer within ${ANSWER_DEADLINE_MS} ms`))
      }, ANSWER_DEADLINE_MS).unref()
      // Both options are given: pidusage takes a missing one from the variable PIDUSAGE_USE_PS or PIDUSAGE_MAXAGE.
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

/** Whether the error means that the process has ended: before its file was opened (ENOENT), or before it was read (ESRCH). */
function isGone({ code }: NodeJS.ErrnoException): boolean {
  return code === 'ENOENT' || code === 'ESRCH'
}
