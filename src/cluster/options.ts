import { availableParallelism, constants } from 'node:os'
import { formatSize, parseSize } from '../base/size'
import { MAX_TIMER_MS } from '../base/time'
import type { Budget } from '../dispatch/budget'
import { type LimiterOption, readKeep, readLimiter } from '../options/limiter'
import {
  rangeError,
  readBoolean,
  readDirectory,
  readLogger,
  readMs,
  readObject,
  readWhole,
  RESERVED_SIGNALS,
  typeError,
} from '../options/read'
import type { Logger } from '../report/listeners'
import type { BackoffSettings } from './plan/backoff'

/** Function that starts the application. It is called once in each worker, and its result is awaited. */
export type RunFunction = () => unknown

/**
 * Exponentially growing delays: before the next fork, when workers end before they are ready or within `minUptime`; and
 * before the next replacement, when workers exceed the limit within `minLifetime`.
 */
export interface BackoffOptions {
  /**
   * First delay, ms: a whole number from 1 to 2147483647. It doubles with every further failure, and each delay varies
   * by up to 25 %.
   *
   * @defaultValue 1000
   */
  base?: number | undefined
  /**
   * Longest delay, without its variation of up to 25 %, ms: a whole number from `base` to 2147483647.
   *
   * @defaultValue 30000, or `base` where that is more
   */
  max?: number | undefined
}

/** Options for the memory dumps of workers: of those that are replaced for their memory, and at V8's heap limit. */
export interface ClusterDumpOptions {
  /**
   * Longest time in which a worker may write its snapshot after the drain, ms: 1 to 2147483647. After this time the worker
   * ends. A forked child that is writing the snapshot goes on, for at most its own deadline; any other unfinished snapshot is
   * lost.
   *
   * @defaultValue 60000
   */
  deadline?: number | undefined
  /** Largest number of dumps of all workers together, and the interval for which it holds. @defaultValue [3, 'hour'] */
  limiter?: LimiterOption | undefined
  /** Directory for the files; created if missing. @defaultValue process.cwd() */
  profileDir?: string | undefined
  /** Number of memory dumps kept in the directory: a whole number, at least 0, or `false` for all. @defaultValue 10 */
  keep?: number | false | undefined
  /**
   * `true`: snapshots are written without the contents of strings, numbers and regular expressions, as with the
   * monitor's `memory.redact`; `false`: with them. Applies also to snapshots at V8's heap limit, which a monitor in the
   * worker leaves to the cluster.
   *
   * @defaultValue false
   */
  redact?: boolean | undefined
}

/** Options of a cluster. Every key is optional. */
export interface ClusterOptions {
  /**
   * Number of workers: a whole number from 1 to 1024; more than four per core cause a warning. Environment:
   * `CPU_COUNT`.
   *
   * @defaultValue `os.availableParallelism()`
   */
  count?: number | undefined
  /**
   * Time between two readings of a worker's memory, ms: 1 to 2147483647. Environment: `CHECK_INTERVAL`.
   *
   * @defaultValue 5000
   */
  checkInterval?: number | undefined
  /**
   * Longest time in which a worker may drain (finish its requests), ms: 1 to 2147483647. After this time, the worker ends
   * itself with code 1; if it still exists 2 s later, the primary sends SIGKILL. Set the option to the duration of your
   * longest request. Environment: `KILL_TIMEOUT`.
   *
   * @defaultValue 5000
   */
  killTimeout?: number | undefined
  /**
   * Time for which a draining worker keeps idle keep-alive connections open, ms: a whole number from 0 to below
   * `killTimeout`. A request that is on its way is then still answered. Node's own `keepAliveTimeout` may end these
   * connections earlier.
   *
   * @defaultValue `killTimeout` - 500, or 80 % of `killTimeout` where that is more
   */
  linger?: number | undefined
  /**
   * Longest time from a worker's fork until it is ready, ms: 1 to 2147483647. Then a worker whose `runFunc` has not settled
   * gets SIGKILL, and so does a replacement that does not listen on the addresses of the old worker. Environment:
   * `START_TIMEOUT`.
   *
   * @defaultValue 30000
   */
  startTimeout?: number | undefined
  /**
   * Time after a worker became ready, ms: 0 to 2147483647. If the worker ends within this time, the fork of its
   * successor is delayed.
   *
   * @defaultValue 10000
   */
  minUptime?: number | undefined
  /**
   * Time after a worker became ready, ms: 0 to 2147483647. If the worker exceeds the limit within this time, the next
   * replacement of a worker above the limit is delayed.
   *
   * @defaultValue 10000
   */
  minLifetime?: number | undefined
  /**
   * Delays of the next fork after a worker ended before it was ready or within `minUptime`, and of the next replacement
   * after a worker exceeded the limit within `minLifetime`.
   */
  backoff?: BackoffOptions | undefined
  /**
   * Number of workers above `count` during a replacement. 1: the replacement serves before the old worker drains, so the
   * machine must have memory for one more worker. 0: the replacement is forked when the old worker accepts no more
   * connections; needs at least two workers.
   *
   * @defaultValue 1
   */
  maxSurge?: 0 | 1 | undefined
  /**
   * Number of readings above the limit in a row after which a worker asks to be replaced: a whole number, at least 1.
   *
   * @defaultValue 1
   */
  confirm?: number | undefined
  /**
   * A second memory limit for each worker, above the first: bytes or a size such as `'600mb'`, or 0 for none. For this
   * limit the primary reads the memory of all workers itself. A worker above this limit is replaced before all others, and
   * gets SIGKILL if it hangs. About 1.5 times the first limit is sensible.
   *
   * @defaultValue 0
   */
  hardLimit?: number | string | undefined
  /**
   * Signals that make the primary drain all workers and exit; `[]`: the application handles them.
   *
   * @defaultValue ['SIGTERM', 'SIGINT']
   */
  signals?: readonly NodeJS.Signals[] | undefined
  /**
   * `true`: each worker starts a thread (10 to 18 MB of memory), which ends the worker when the primary is gone and the
   * worker's event loop is stuck. `false`: no such thread is started.
   *
   * @defaultValue false
   */
  watchdog?: boolean | undefined
  /**
   * Options of the heap snapshot that a worker above the limit writes when its last connection has ended, and of snapshots
   * at V8's heap limit. `{}`: snapshots with the defaults; `false`: no snapshots. A snapshot above the limit delays
   * neither this worker's replacement nor the next one; at V8's heap limit a worker ends up to 2 s later, or up to 10 s where its
   * end would end the forked child.
   *
   * @defaultValue false
   */
  dump?: ClusterDumpOptions | false | undefined
  /**
   * Object that receives one log line per event. `false`: no lines, except the warning of `'limit-unreachable'`.
   *
   * @defaultValue a line per event to stderr
   */
  logger?: Logger | false | undefined
}

/** The `dump` option, checked and completed with defaults. */
export interface ClusterDumpSettings {
  readonly deadlineMs: number
  readonly budget: Budget
  /** Absolute path of the directory for dumps. */
  readonly directory: string
  readonly keep: number | false
  readonly redact: boolean
}

/** Options and environment variables of a cluster, checked and completed with defaults. */
export interface ClusterSettings {
  readonly limitBytes: number
  readonly hardLimitBytes: number
  readonly count: number
  readonly checkIntervalMs: number
  readonly killTimeoutMs: number
  /** Time for which a draining worker keeps idle connections, ms; `undefined`: as long as `killTimeoutMs` allows. */
  readonly lingerMs: number | undefined
  readonly startTimeoutMs: number
  readonly minUptimeMs: number
  readonly minLifetimeMs: number
  readonly backoff: BackoffSettings
  readonly maxSurge: 0 | 1
  readonly confirm: number
  readonly signals: readonly NodeJS.Signals[]
  readonly watchdog: boolean
  /** Settings of dumps; `undefined`: no dumps are written. */
  readonly dump: ClusterDumpSettings | undefined
  readonly logger: Logger | false | undefined
}

/** Maximum number of workers. A larger `CPU_COUNT` is a mistake, or meant for another program that reads this variable. */
export const MAX_COUNT = 1024
export const DEFAULT_CHECK_INTERVAL_MS = 5000
export const DEFAULT_KILL_TIMEOUT_MS = 5000
export const DEFAULT_START_TIMEOUT_MS = 30_000
export const DEFAULT_MIN_UPTIME_MS = 10_000
export const DEFAULT_MIN_LIFETIME_MS = 10_000
export const DEFAULT_BACKOFF: BackoffSettings = { baseMs: 1000, maxMs: 30_000 }
export const DEFAULT_CONFIRM = 1
export const DEFAULT_DUMP_DEADLINE_MS = 60_000
export const DEFAULT_SIGNALS: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGINT']

const KEYS = Object.keys({
  count: true,
  checkInterval: true,
  killTimeout: true,
  linger: true,
  startTimeout: true,
  minUptime: true,
  minLifetime: true,
  backoff: true,
  maxSurge: true,
  confirm: true,
  hardLimit: true,
  signals: true,
  watchdog: true,
  dump: true,
  logger: true,
} satisfies Record<keyof ClusterOptions, true>)

type Environment = Readonly<Record<string, string | undefined>>

/**
 * Checks the options, and completes them with environment variables and defaults. An option takes precedence over its
 * environment variable; an empty variable counts as absent.
 *
 * @throws TypeError for a value of the wrong type, or an option that does not exist.
 * @throws RangeError for a value outside its range. The message about a value names the option or variable, and what was
 * expected and received.
 */
export function resolveClusterOptions(
  limit: number | string,
  options: ClusterOptions = {},
  environment: Environment = process.env,
): ClusterSettings {
  const given = readObject(options, 'options', KEYS)
  const readTimer = (key: string, variable: string, otherwise: number): number =>
    given[key] === undefined
      ? (readVariable(environment, variable, MAX_TIMER_MS) ?? otherwise)
      : readMs(given[key], `options.${key}`, otherwise)
  const limitBytes = readBytes(limit, 'limit')
  const count = readCount(given['count'], environment)
  const killTimeoutMs = readTimer('killTimeout', 'KILL_TIMEOUT', DEFAULT_KILL_TIMEOUT_MS)
  return Object.freeze<ClusterSettings>({
    limitBytes,
    hardLimitBytes: readHardLimit(given['hardLimit'], limitBytes),
    count,
    checkIntervalMs: readTimer('checkInterval', 'CHECK_INTERVAL', DEFAULT_CHECK_INTERVAL_MS),
    killTimeoutMs,
    lingerMs: readLinger(given['linger'], killTimeoutMs),
    startTimeoutMs: readTimer('startTimeout', 'START_TIMEOUT', DEFAULT_START_TIMEOUT_MS),
    minUptimeMs: readSpan(given['minUptime'], 'options.minUptime', DEFAULT_MIN_UPTIME_MS),
    minLifetimeMs: readSpan(given['minLifetime'], 'options.minLifetime', DEFAULT_MIN_LIFETIME_MS),
    backoff: readBackoff(given['backoff']),
    maxSurge: readMaxSurge(given['maxSurge'], count),
    confirm: readWhole(given['confirm'], 'options.confirm', 1, DEFAULT_CONFIRM),
    signals: readSignals(given['signals']),
    watchdog: readBoolean(given['watchdog'], 'options.watchdog', false),
    dump: readDump(given['dump']),
    logger: readLogger(given['logger']),
  })
}

/** @throws TypeError when `runFunc` is no function, or `cleanFunc` is given and is none. */
export function checkFunctions(runFunc: unknown, cleanFunc: unknown): void {
  if (typeof runFunc !== 'function') throw typeError('runFunc', 'a function', runFunc)
  if (cleanFunc !== undefined && typeof cleanFunc !== 'function') {
    throw typeError('cleanFunc', 'a function, or absent', cleanFunc)
  }
}

function readBytes(value: unknown, name: string): number {
  const expected = "a number of bytes above 0, or a size such as '400mb' (b, kb, mb, gb, tb, pb)"
  if (typeof value !== 'number' && typeof value !== 'string') throw typeError(name, expected, value)
  const sizeBytes = typeof value === 'number' ? value : parseSize(value)
  if (sizeBytes === undefined || !Number.isFinite(sizeBytes) || sizeBytes <= 0) {
    throw rangeError(name, expected, value)
  }
  return sizeBytes
}

function readHardLimit(value: unknown, limitBytes: number): number {
  if (value === undefined || value === 0) return 0
  const hardLimitBytes = readBytes(value, 'options.hardLimit')
  if (hardLimitBytes <= limitBytes) {
    throw rangeError('options.hardLimit', `0, or above the limit of ${formatSize(limitBytes)}`, value)
  }
  return hardLimitBytes
}

function readCount(value: unknown, environment: Environment): number {
  if (value === undefined) {
    return readVariable(environment, 'CPU_COUNT', MAX_COUNT) ?? Math.min(MAX_COUNT, availableParallelism())
  }
  const count = readWhole(value, 'options.count', 1, 1)
  if (count > MAX_COUNT) throw rangeError('options.count', `a whole number from 1 to ${MAX_COUNT}`, value)
  return count
}

function readVariable(environment: Environment, name: string, most: number): number | undefined {
  const text = environment[name]
  if (text === undefined || text.trim() === '') return undefined
  const value = /^\s*\d+\s*$/.test(text) ? Number(text) : NaN
  if (!(value >= 1 && value <= most)) {
    throw rangeError(`environment variable ${name}`, `a whole number from 1 to ${most}`, text)
  }
  return value
}

function readSpan(value: unknown, name: string, otherwise: number): number {
  return value === 0 ? 0 : readMs(value, name, otherwise, ', or 0')
}

function readLinger(value: unknown, killTimeoutMs: number): number | undefined {
  if (value === undefined) return undefined
  const lingerMs = readWhole(value, 'options.linger', 0, 0)
  if (lingerMs >= killTimeoutMs) {
    const expected = `a whole number of milliseconds below killTimeout (${killTimeoutMs})`
    throw rangeError('options.linger', expected, value)
  }
  return lingerMs
}

function readBackoff(value: unknown): BackoffSettings {
  if (value === undefined) return DEFAULT_BACKOFF
  const given = readObject(value, 'options.backoff', ['base', 'max'])
  const baseMs = readMs(given['base'], 'options.backoff.base', DEFAULT_BACKOFF.baseMs)
  const maxMs = readMs(given['max'], 'options.backoff.max', Math.max(baseMs, DEFAULT_BACKOFF.maxMs))
  if (maxMs < baseMs)
    throw rangeError('options.backoff.max', `at least options.backoff.base (${baseMs})`, maxMs)
  return { baseMs, maxMs }
}

function readDump(value: unknown): ClusterDumpSettings | undefined {
  if (value === undefined || value === false) return undefined
  const given = readObject(value, 'options.dump', ['deadline', 'limiter', 'profileDir', 'keep', 'redact'])
  return {
    deadlineMs: readMs(given['deadline'], 'options.dump.deadline', DEFAULT_DUMP_DEADLINE_MS),
    budget: readLimiter(given['limiter'], 'options.dump.limiter'),
    directory: readDirectory(given['profileDir'], 'options.dump.profileDir'),
    keep: readKeep(given['keep'], 'options.dump.keep'),
    redact: readBoolean(given['redact'], 'options.dump.redact', false),
  }
}

function readMaxSurge(value: unknown, count: number): 0 | 1 {
  if (value === undefined) return 1
  if (typeof value !== 'number') throw typeError('options.maxSurge', '0 or 1', value)
  if (value !== 0 && value !== 1) throw rangeError('options.maxSurge', '0 or 1', value)
  if (value === 0 && count === 1) {
    throw rangeError(
      'options.maxSurge',
      '1 while `count` is 1 (0 would stop the only worker before its successor serves)',
      value,
    )
  }
  return value
}

function readSignals(value: unknown): readonly NodeJS.Signals[] {
  if (value === undefined) return DEFAULT_SIGNALS
  const expected = "an array of signals that an application can handle, such as ['SIGTERM', 'SIGINT'], or []"
  if (!Array.isArray(value)) throw typeError('options.signals', expected, value)
  return value.map((signal: unknown, index) => {
    const name = `options.signals[${index}]`
    if (typeof signal !== 'string') throw typeError(name, "the name of a signal such as 'SIGTERM'", signal)
    if (!Object.hasOwn(constants.signals, signal) || RESERVED_SIGNALS.has(signal)) {
      throw rangeError(name, 'a signal that an application can handle', signal)
    }
    return signal as NodeJS.Signals
  })
}
