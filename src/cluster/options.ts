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

/** Called once in each worker, to start the application. Its result is awaited. */
export type RunFunction = () => unknown

/** Exponential delays before a new worker is forked after one that ended before or soon after it was ready. */
export interface BackoffOptions {
  /** First delay, ms: a whole number from 1 to 2147483647. Doubled with every further failure. @defaultValue 1000 */
  base?: number | undefined
  /** Longest delay, ms: a whole number from `base` to 2147483647. @defaultValue 30000 */
  max?: number | undefined
}

/** Options for heap snapshots of workers that were above the limit. */
export interface ClusterDumpOptions {
  /**
   * Longest time to write the snapshot, ms, after the drain: 1 to 2147483647. Then the worker ends.
   *
   * @defaultValue 60000
   */
  deadline?: number | undefined
  /** Budget of dumps for all workers together: a number of dumps per interval. @defaultValue [3, 'hour'] */
  limiter?: LimiterOption | undefined
  /** Directory for the files; created if missing. @defaultValue process.cwd() */
  profileDir?: string | undefined
  /** Number of these dumps kept in the directory: a whole number, at least 0, or `false` for all. @defaultValue 10 */
  keep?: number | false | undefined
  /**
   * Write snapshots without the contents of strings, numbers and regular expressions, like the monitor's
   * `memory.redact`. Applies also to snapshots at V8's heap limit, which a monitor in the worker leaves to the cluster.
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
   * Deadline of a draining worker, ms, from 1 to 2147483647; then it ends itself with code 1, and 2 s later the primary
   * sends SIGKILL. Set it to your longest request. Environment: `KILL_TIMEOUT`.
   *
   * @defaultValue 5000
   */
  killTimeout?: number | undefined
  /**
   * Time for which a draining worker keeps idle keep-alive connections, ms, so that a request on the wire is still
   * answered: a whole number from 0 to below `killTimeout`. Node's own `keepAliveTimeout` may end them earlier.
   *
   * @defaultValue `killTimeout` - 500, or four fifths of it where that is more
   */
  linger?: number | undefined
  /**
   * Deadline for a worker to become ready, ms: 1 to 2147483647; then the primary sends SIGKILL. Environment:
   * `START_TIMEOUT`.
   *
   * @defaultValue 30000
   */
  startTimeout?: number | undefined
  /**
   * A worker that ends within this time after it was ready, ms, delays the fork of its successor. From 0.
   *
   * @defaultValue 10000
   */
  minUptime?: number | undefined
  /**
   * A worker that exceeds the limit within this time after it was ready, ms, delays the next replacement. From 0.
   *
   * @defaultValue 10000
   */
  minLifetime?: number | undefined
  /**
   * Delays of a fork after a worker ended before or soon after it was ready (`minUptime`), and of a replacement after
   * one exceeded the limit within `minLifetime`.
   */
  backoff?: BackoffOptions | undefined
  /**
   * 1: the replacement serves before the old worker drains, so the machine must have memory for one more worker. 0: the
   * replacement is forked when the old worker has stopped accepting; needs at least two workers.
   *
   * @defaultValue 1
   */
  maxSurge?: 0 | 1 | undefined
  /** A worker asks to be replaced after this many readings above the limit in a row: at least 1. @defaultValue 1 */
  confirm?: number | undefined
  /**
   * A second limit above the first: bytes or a size such as `'600mb'`, or 0 for none. The primary reads the memory of
   * all workers itself. A worker above this limit is replaced before all others, and gets SIGKILL if it hangs. About
   * 1.5 times the limit is sensible.
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
   * Start a thread in each worker (10 to 18 MB) that ends the worker when the primary is gone and the worker's event
   * loop is stuck.
   *
   * @defaultValue false
   */
  watchdog?: boolean | undefined
  /**
   * Write a heap snapshot of a worker that was above the limit, when its last connection has ended. The snapshot delays
   * neither the worker's replacement nor the next one. `{}` uses the defaults.
   *
   * @defaultValue false
   */
  dump?: ClusterDumpOptions | false | undefined
  /** Receives one log line per event; `false`: no lines. @defaultValue a line per event to stderr */
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
  /** Time for which idle connections are kept, ms; `undefined`: as long as `killTimeoutMs` allows. */
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

/** Maximum number of workers. A larger `CPU_COUNT` is a mistake, or meant for another tool that reads the same variable. */
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
 * Resolves the options. An option takes precedence over its environment variable; an empty variable counts as none.
 *
 * @throws TypeError for a value of the wrong type, or an option that does not exist.
 * @throws RangeError for a value outside its range. Both name the option, the rule and the value received.
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
  return value === 0 ? 0 : readMs(value, name, otherwise)
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
    throw rangeError('options.maxSurge', '1 while there is only one worker (0 would leave none)', value)
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
