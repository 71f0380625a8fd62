import { ownOnly } from '../base/globals'
import { constants } from 'node:os'
import { resolve } from 'node:path'
import { inspect } from 'node:util'
import type { Budget } from '../dispatch/budget'
import { parseSize } from '../base/size'
import type { Threshold } from './threshold'

/** Where the library writes its lines. Console, pino, winston and most others fit as they are. */
export interface Logger {
  info(line: string): void
  warn(line: string): void
  error(line: string): void
}

/** Names of intervals that `limiter` understands, besides a number of ms. */
export type IntervalName = 'second' | 'sec' | 'minute' | 'min' | 'hour' | 'hr' | 'day'

/**
 * A token bucket `[n, interval]`: at most `n` dumps per interval, counted from the first dump.
 *
 * `n` is a whole number of at least 0 (0: only manual dumps); the interval is a name or a number of ms above 0.
 */
export type LimiterOption = readonly [tokensPerInterval: number, interval: IntervalName | number]

/** Watch the CPU use of the process. */
export interface CpuOptions {
  /** ms between readings: a whole number from 1 to 2147483647. @defaultValue 1000 */
  interval?: number | undefined
  /** ms of CPU profile: a whole number from 1 to 2147483647. @defaultValue 30000 */
  duration?: number | undefined
  /**
   * A reading above it is a breach. A number, at least 0: percent of one core for the whole process (250 is two and a half
   * cores). A string such as `'80%'`, above 0 and up to 100: of the CPU that the process may use (cgroup quota, else cores).
   *
   * @defaultValue 90
   */
  threshold?: number | string | undefined
  /** Directory for the files; created if missing. @defaultValue the top-level `profileDir`, else `process.cwd()` */
  profileDir?: string | undefined
  /** Readings above the threshold in a row that make a dump: a whole number, at least 1. @defaultValue 1 */
  counter?: number | undefined
  /** Budget of CPU dumps. @defaultValue [3, 'hour'] */
  limiter?: LimiterOption | undefined
  /**
   * ms without a beat of the main thread that trip a CPU dump of their own: a whole number from 1 to 2147483647, or
   * `false`. Needs the watchdog thread.
   *
   * @defaultValue 5000
   */
  blocked?: number | false | undefined
}

/** Watch the memory use of the process, and its heap for a leak. */
export interface MemoryOptions {
  /** ms between readings: a whole number from 1 to 2147483647. @defaultValue 1000 */
  interval?: number | undefined
  /**
   * Resident set size; a reading above it is a breach. A number of bytes, at least 0, or a size such as `'1.2gb'`; or a
   * percentage such as `'85%'`, above 0 and up to 100, of the memory that the process may use (cgroup limit, else total).
   *
   * @defaultValue '1.2gb'
   */
  threshold?: number | string | undefined
  /** Directory for the files; created if missing. @defaultValue the top-level `profileDir`, else `process.cwd()` */
  profileDir?: string | undefined
  /** Readings above the threshold in a row that make a dump: a whole number, at least 1. @defaultValue 1 */
  counter?: number | undefined
  /** Budget of memory dumps, leak dumps included. @defaultValue [3, 'hour'] */
  limiter?: LimiterOption | undefined
  /** Keep V8's sampling heap profiler on, so that every memory dump has a `.heapprofile`. @defaultValue true */
  sampling?: boolean | undefined
}

/** What is watched and how. Only what is configured is watched; every key is optional. */
export interface Options {
  /** Watch CPU. Absent: no CPU readings. */
  cpu?: CpuOptions | undefined
  /** Watch memory and leaks. Absent: no memory readings, no leak watch. */
  memory?: MemoryOptions | undefined
  /** Directory for the files of both. @defaultValue process.cwd() */
  profileDir?: string | undefined
  /** Signal that writes a heap snapshot by hand, or `false`. @defaultValue 'SIGUSR2' */
  signal?: NodeJS.Signals | false | undefined
  /** Run sampling and decisions on a thread of their own. @defaultValue true */
  watchdog?: boolean | undefined
  /**
   * `'auto'`: v8-profiler-next, heapdump and memwatch where the application has installed them, else what Node has.
   * `'packages'`: insist on them; the call throws when one that is needed is missing. `'builtin'`: ignore them.
   * An object: as `'auto'`, with the packages that it holds. Installed packages are searched in the `node_modules` above this
   * library and above the program, never from the working directory.
   *
   * @defaultValue 'auto'
   */
  engine?: Engine | undefined
  /** Dumps kept per kind: a whole number, at least 0 (none), or `false` to keep all. Manual dumps are always kept. @defaultValue 10 */
  keep?: number | false | undefined
  /** Takes one line per event, or `false`. @defaultValue a line per event to stderr */
  logger?: Logger | false | undefined
}

export type Engine = 'auto' | 'packages' | 'builtin' | EnginePackages

/**
 * Optional packages from the application, each as `require` returns it: `{ heapdump: require('heapdump') }`. For packages that
 * the monitor cannot find, because the library is linked or bundled. A key that is absent or `undefined` is searched for.
 */
export interface EnginePackages {
  'v8-profiler-next'?: object | undefined
  heapdump?: object | undefined
  'memwatch-next'?: object | undefined
  '@airbnb/node-memwatch'?: object | undefined
}

/** What both kinds of watch have in common, resolved. */
export interface RuleSettings {
  readonly intervalMs: number
  readonly threshold: Threshold
  readonly counter: number
  readonly budget: Budget
}

export interface Settings {
  readonly cpu: (RuleSettings & { readonly blockedMs: number | undefined }) | undefined
  readonly memory: RuleSettings | undefined
  /** Absolute. Manual dumps need one even for a kind that is not watched. */
  readonly directories: { readonly cpu: string; readonly memory: string }
  readonly profileDurationMs: number
  /** Keep the sampling heap profiler on. */
  readonly sampling: boolean
  readonly signal: NodeJS.Signals | undefined
  readonly watchdog: boolean
  readonly engine: Exclude<Engine, EnginePackages> | Readonly<Record<string, object>>
  readonly keep: number | false
  /** `undefined`: the default, a line per event to stderr. */
  readonly logger: Logger | false | undefined
}

export const DEFAULT_INTERVAL_MS = 1000
export const DEFAULT_DURATION_MS = 30_000
export const DEFAULT_CPU_THRESHOLD = 90
export const DEFAULT_MEMORY_THRESHOLD = '1.2gb'
export const DEFAULT_COUNTER = 1
export const DEFAULT_LIMITER: LimiterOption = [3, 'hour']
export const DEFAULT_BLOCKED_MS = 5000
export const DEFAULT_SIGNAL = 'SIGUSR2'
export const DEFAULT_KEEP = 10
/** The longest delay that a timer of Node can hold; longer ones fire at once. */
export const MAX_TIMER_MS = 2_147_483_647

const INTERVALS_MS: Readonly<Record<IntervalName, number>> = {
  second: 1000,
  sec: 1000,
  minute: 60_000,
  min: 60_000,
  hour: 3_600_000,
  hr: 3_600_000,
  day: 86_400_000,
}

/** SIGKILL and SIGSTOP cannot be caught, V8's profiler owns SIGPROF, Node's debugger SIGUSR1; after the faults no JavaScript can run. */
export const RESERVED_SIGNALS = new Set([
  'SIGKILL',
  'SIGSTOP',
  'SIGPROF',
  'SIGUSR1',
  'SIGSEGV',
  'SIGBUS',
  'SIGFPE',
  'SIGILL',
  'SIGABRT',
  'SIGTRAP',
])

/**
 * Reads what the user wrote. Nothing deeper sees an absent or an unchecked value.
 *
 * @throws TypeError for a value of the wrong type, or an option that does not exist.
 * @throws RangeError for a value outside the option's range. Both name the option, the rule and what was received.
 */
export function resolveOptions(options: Options = {}): Settings {
  const top = readObject(options, 'options', TOP_KEYS)
  const cpu = top['cpu'] === undefined ? undefined : readObject(top['cpu'], 'options.cpu', CPU_KEYS)
  const memory =
    top['memory'] === undefined ? undefined : readObject(top['memory'], 'options.memory', MEMORY_KEYS)
  // The working directory is asked for only when it is needed: it may have been deleted.
  const topDirectory =
    top['profileDir'] === undefined
      ? undefined
      : readDirectory(top['profileDir'], 'options.profileDir', () => process.cwd())
  const common = () => topDirectory ?? process.cwd()
  return Object.freeze<Settings>({
    cpu: cpu && {
      ...readRule(cpu, 'options.cpu', readCpuThreshold),
      blockedMs: readBlocked(cpu['blocked']),
    },
    memory: memory && readRule(memory, 'options.memory', readMemoryThreshold),
    directories: {
      cpu: readDirectory(cpu?.['profileDir'], 'options.cpu.profileDir', common),
      memory: readDirectory(memory?.['profileDir'], 'options.memory.profileDir', common),
    },
    profileDurationMs: readMs(cpu?.['duration'], 'options.cpu.duration', DEFAULT_DURATION_MS),
    sampling: memory !== undefined && readBoolean(memory['sampling'], 'options.memory.sampling', true),
    signal: readSignal(top['signal']),
    watchdog: readBoolean(top['watchdog'], 'options.watchdog', true),
    engine: readEngine(top['engine']),
    keep: readKeep(top['keep'], 'options.keep'),
    logger: readLogger(top['logger']),
  })
}

const TOP_KEYS = ['cpu', 'memory', 'profileDir', 'signal', 'watchdog', 'engine', 'keep', 'logger']
const RULE_KEYS = ['interval', 'threshold', 'profileDir', 'counter', 'limiter']
const CPU_KEYS = [...RULE_KEYS, 'duration', 'blocked']
const MEMORY_KEYS = [...RULE_KEYS, 'sampling']

function readRule(
  rule: Record<string, unknown>,
  name: string,
  readThreshold: (value: unknown) => Threshold,
): RuleSettings {
  return {
    intervalMs: readMs(rule['interval'], `${name}.interval`, DEFAULT_INTERVAL_MS),
    threshold: readThreshold(rule['threshold']),
    counter: readWhole(rule['counter'], `${name}.counter`, 1, DEFAULT_COUNTER),
    budget: readLimiter(rule['limiter'], `${name}.limiter`),
  }
}

export function readObject(value: unknown, name: string, keys: readonly string[]): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw typeError(name, 'an object', value)
  }
  for (const key of Object.keys(value)) {
    if (!keys.includes(key)) {
      throw new TypeError(`${name}.${key.slice(0, 80)} is not an option; ${name} takes ${keys.join(', ')}`)
    }
  }
  return ownOnly(value as Record<string, unknown>)
}

function readCpuThreshold(value: unknown = DEFAULT_CPU_THRESHOLD): Threshold {
  const name = 'options.cpu.threshold'
  const rule =
    "a number of percent of one core, at least 0, or a string such as '80%', above 0% and up to 100%"
  if (typeof value === 'number') return { unit: 'absolute', value: atLeastZero(value, name, rule) }
  if (typeof value !== 'string') throw typeError(name, rule, value)
  return readShare(value, name, rule)
}

function readMemoryThreshold(value: unknown = DEFAULT_MEMORY_THRESHOLD): Threshold {
  const name = 'options.memory.threshold'
  const rule =
    "a number of bytes, at least 0, a size such as '1.2gb' (b, kb, mb, gb, tb, pb), or a string such as '85%', above 0% and up to 100%"
  if (typeof value === 'number') return { unit: 'absolute', value: atLeastZero(value, name, rule) }
  if (typeof value !== 'string') throw typeError(name, rule, value)
  const sizeBytes = parseSize(value)
  return sizeBytes === undefined ? readShare(value, name, rule) : { unit: 'absolute', value: sizeBytes }
}

function readShare(text: string, name: string, rule: string): Threshold {
  const percent = /^\s*(\d+(?:\.\d+)?)\s*%\s*$/.exec(text)?.[1]
  if (percent === undefined || Number(percent) <= 0 || Number(percent) > 100) {
    throw rangeError(name, rule, text)
  }
  return { unit: 'share', percent: Number(percent) }
}

function atLeastZero(value: number, name: string, rule: string): number {
  if (!Number.isFinite(value) || value < 0) throw rangeError(name, rule, value)
  return value
}

export function readMs(value: unknown, name: string, otherwise: number, orElse = ''): number {
  if (value === undefined) return otherwise
  const rule = `a whole number of milliseconds from 1 to ${MAX_TIMER_MS}${orElse}`
  if (typeof value !== 'number') throw typeError(name, rule, value)
  if (!Number.isInteger(value) || value < 1 || value > MAX_TIMER_MS) throw rangeError(name, rule, value)
  return value
}

function readBlocked(value: unknown): number | undefined {
  if (value === false) return undefined
  return readMs(value, 'options.cpu.blocked', DEFAULT_BLOCKED_MS, ', or false')
}

export function readWhole(value: unknown, name: string, least: number, otherwise: number): number {
  if (value === undefined) return otherwise
  const rule = `a whole number, at least ${least}`
  if (typeof value !== 'number') throw typeError(name, rule, value)
  if (!Number.isSafeInteger(value) || value < least) throw rangeError(name, rule, value)
  return value
}

export function readLimiter(value: unknown = DEFAULT_LIMITER, name: string): Budget {
  const names = Object.keys(INTERVALS_MS)
  if (!Array.isArray(value)) {
    throw typeError(name, "an array [n, interval] such as [3, 'hour']", value)
  }
  if (value.length !== 2) {
    throw rangeError(name, "an array of two, [n, interval], such as [3, 'hour']", value)
  }
  const [tokens, interval] = value as [unknown, unknown]
  return {
    tokensPerInterval: readWhole(required(tokens, `${name}[0]`), `${name}[0]`, 0, 0),
    intervalMs: readInterval(interval, `${name}[1]`, names),
  }
}

function required(value: unknown, name: string): unknown {
  if (value === undefined) throw typeError(name, 'a whole number, at least 0', value)
  return value
}

function readInterval(value: unknown, name: string, names: readonly string[]): number {
  const rule = `a number of milliseconds above 0, or one of ${names.join(', ')}`
  if (typeof value === 'string') {
    if (!names.includes(value)) throw rangeError(name, rule, value)
    return INTERVALS_MS[value as IntervalName]
  }
  if (typeof value !== 'number') throw typeError(name, rule, value)
  if (!Number.isFinite(value) || value <= 0) throw rangeError(name, rule, value)
  return value
}

export function readDirectory(value: unknown, name: string, otherwise: () => string): string {
  if (value === undefined) return otherwise()
  const rule = 'a path, not empty'
  if (typeof value !== 'string') throw typeError(name, rule, value)
  if (value === '' || value.includes('\0')) throw rangeError(name, rule, value)
  return resolve(value)
}

export function readBoolean(value: unknown, name: string, otherwise: boolean): boolean {
  if (value === undefined) return otherwise
  if (typeof value !== 'boolean') throw typeError(name, 'true or false', value)
  return value
}

function readSignal(value: unknown = DEFAULT_SIGNAL): NodeJS.Signals | undefined {
  if (value === false) return undefined
  const name = 'options.signal'
  if (typeof value !== 'string')
    throw typeError(name, "the name of a signal such as 'SIGUSR2', or false", value)
  // A platform may lack the default (Windows has no SIGUSR2): that is said at start, it is not the caller's mistake.
  const isKnown = value === DEFAULT_SIGNAL || Object.hasOwn(constants.signals, value)
  if (!isKnown)
    throw rangeError(name, "the name of a signal of this platform such as 'SIGUSR2', or false", value)
  if (RESERVED_SIGNALS.has(value)) {
    throw rangeError(
      name,
      `a signal that an application can handle, not one of ${[...RESERVED_SIGNALS].join(', ')}`,
      value,
    )
  }
  return value as NodeJS.Signals
}

/** Functions by which a package is recognised: those that the monitor calls, and one that an event emitter has not. */
const MEMWATCH_FUNCTIONS = ['on', 'removeListener', 'HeapDiff']
const PACKAGE_FUNCTIONS: Readonly<Record<keyof EnginePackages, readonly string[]>> = {
  'v8-profiler-next': ['setGenerateType', 'setSamplingInterval', 'startProfiling', 'stopProfiling'],
  heapdump: ['writeSnapshot'],
  'memwatch-next': MEMWATCH_FUNCTIONS,
  '@airbnb/node-memwatch': MEMWATCH_FUNCTIONS,
}

function readEngine(value: unknown = 'auto'): Settings['engine'] {
  const rule =
    "'auto', 'packages', 'builtin', or an object of packages such as { heapdump: require('heapdump') }"
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return readPackages(value)
  if (typeof value !== 'string') throw typeError('options.engine', rule, value)
  if (value !== 'auto' && value !== 'packages' && value !== 'builtin') {
    throw rangeError('options.engine', rule, value)
  }
  return value
}

function readPackages(value: object): Readonly<Record<string, object>> {
  const given = readObject(value, 'options.engine', Object.keys(PACKAGE_FUNCTIONS))
  const packages = Object.entries(PACKAGE_FUNCTIONS).flatMap(([name, functions]) => {
    const exports = given[name]
    if (exports === undefined) return []
    const rule = `the package as require('${name}') returns it, with the functions ${functions.join(', ')}`
    if (!hasFunctions(exports, functions)) throw typeError(`options.engine['${name}']`, rule, exports)
    return [[name, exports] as const]
  })
  return Object.freeze(Object.fromEntries(packages))
}

function hasFunctions(value: unknown, names: readonly string[]): value is object {
  if (typeof value !== 'object' && typeof value !== 'function') return false
  return (
    value !== null && names.every((name) => typeof (value as Record<string, unknown>)[name] === 'function')
  )
}

export function readKeep(value: unknown, name: string): number | false {
  if (value === false) return false
  return readWhole(value, name, 0, DEFAULT_KEEP)
}

export function readLogger(value: unknown): Logger | false | undefined {
  if (value === undefined || value === false) return value
  const rule = 'an object with the functions info, warn and error, or false'
  if (typeof value !== 'object' || value === null) throw typeError('options.logger', rule, value)
  for (const level of ['info', 'warn', 'error']) {
    if (typeof (value as Record<string, unknown>)[level] !== 'function') {
      throw typeError('options.logger', rule, value)
    }
  }
  return value as Logger
}

export function typeError(name: string, rule: string, received: unknown): TypeError {
  return new TypeError(`${name} must be ${rule}; received ${describe(received)}`)
}

export function rangeError(name: string, rule: string, received: unknown): RangeError {
  return new RangeError(`${name} must be ${rule}; received ${describe(received)}`)
}

/** Long or hostile values must not turn an error message into a dump, or into another error. */
export function describe(value: unknown): string {
  try {
    const text = inspect(value, { depth: 0, breakLength: Infinity, maxArrayLength: 4, maxStringLength: 80 })
    return text.length > 120 ? `${text.slice(0, 120)}…` : text
  } catch {
    return typeof value
  }
}
