import { constants } from 'node:os'
import { parseSize } from '../base/size'
import { DEFAULT_HOLD_MS } from '../capture/heap/limit/allowance'
import type { Dump } from '../dispatch/events'
import { FLEET_PLAN, type FleetPlan } from '../dispatch/fleet'
import { type LimiterOption, readKeep, readLimiter } from '../options/limiter'
import {
  atLeastZero,
  rangeError,
  readBoolean,
  readDirectory,
  readFunction,
  readLogger,
  readMs,
  readObject,
  readShare,
  readWhole,
  RESERVED_SIGNALS,
  typeError,
} from '../options/read'
import type { Logger } from '../report/listeners'
import type { OnDump } from '../report/on-dump'
import { optionsOf } from './declared'
import { DEFAULT_COUNTER, DEFAULT_INTERVAL_MS, readRules, type RuleOptions, type RuleToRead } from './rules'

export { DEFAULT_COUNTER, DEFAULT_INTERVAL_MS }
import type { CpuSettings, MemorySettings, RuleSettings } from '../watch/watch'

/** Options for watching the CPU use of the process. */
export interface CpuOptions {
  /** Time between two readings of CPU use, ms: a whole number from 1 to 2147483647. @defaultValue 1000 */
  interval?: number | undefined
  /** Length of a CPU profile, ms: a whole number from 1 to 2147483647. @defaultValue 30000 */
  duration?: number | undefined
  /**
   * CPU use of the process above which a reading counts for `counter`. A number, at least 0: percent of one core (250 is two
   * and a half cores). A string such as `'80%'`, above 0 and up to 100: percentage of the CPU that the process may use (cgroup
   * quota, else all cores).
   *
   * @defaultValue 90
   */
  threshold?: number | string | undefined
  /** Directory for CPU dumps; created if missing. @defaultValue the top-level `profileDir`, else `process.cwd()` */
  profileDir?: string | undefined
  /**
   * Number of readings above the threshold in a row that trigger a dump: a whole number, at least 1.
   *
   * @defaultValue 1
   */
  counter?: number | undefined
  /**
   * Maximum number of CPU dumps per interval, as `[dumps, interval]`. Dumps of a blocked event loop count too. Manual dumps and
   * dumps of the option `rules` do not count.
   *
   * @defaultValue [3, 'hour']
   */
  limiter?: LimiterOption | undefined
  /**
   * Time for which the main thread's event loop must be blocked before a CPU dump is made, ms: a whole number from 1 to
   * 2147483647, or `false` for no such dump. Needs the watchdog thread (option `watchdog`).
   *
   * @defaultValue 5000
   */
  blocked?: number | false | undefined
}

/** Options for watching the memory use of the process, and its heap for a leak. */
export interface MemoryOptions {
  /** Time between two readings of memory use, ms: a whole number from 1 to 2147483647. @defaultValue 1000 */
  interval?: number | undefined
  /**
   * Resident set size (RSS) above which a reading counts for `counter`. A number of bytes, at least 0, or a size such as
   * `'1.2gb'`; or a percentage such as `'85%'`, above 0 and up to 100, of the memory that the process may use (cgroup limit,
   * else the memory of the machine).
   *
   * @defaultValue '1.2gb'
   */
  threshold?: number | string | undefined
  /** Directory for memory dumps; created if missing. @defaultValue the top-level `profileDir`, else `process.cwd()` */
  profileDir?: string | undefined
  /**
   * Number of readings above the threshold in a row that trigger a dump: a whole number, at least 1.
   *
   * @defaultValue 1
   */
  counter?: number | undefined
  /**
   * Maximum number of memory dumps per interval, as `[dumps, interval]`. Leak dumps count too. Manual dumps and dumps of the
   * option `rules` do not count. Dumps at V8's heap limit are counted separately, with the same maximum.
   *
   * @defaultValue [3, 'hour']
   */
  limiter?: LimiterOption | undefined
  /**
   * Whether to keep V8's sampling heap profiler on. Memory dumps then also have a file `.heapprofile`, which shows the functions
   * that allocated the memory.
   *
   * @defaultValue true
   */
  sampling?: boolean | undefined
  /**
   * Whether to write heap snapshots without the contents of strings, numbers and regular expressions, and without keys that
   * are data. The unredacted snapshot exists only during the dump, in a file without a name, so a dump needs twice the disk
   * space. Needs `/proc`; without it no snapshot is made.
   *
   * @defaultValue false
   */
  redact?: boolean | undefined
  /**
   * Whether to take a second heap snapshot of a leak, when the heap has grown further by half of the growth that revealed the
   * leak. The difference between both shows the leak. Both snapshots count in the `limiter`. The second is not taken if `keep`
   * is 0 or 1.
   *
   * @defaultValue true
   */
  leakPair?: boolean | undefined
  /**
   * Whether to dump when V8 is about to end the process because the heap has reached its limit. The process still ends as
   * it would without the dump. An object `{ hold }`: as `true`, and sets how long the process may wait for its dump if its end
   * would also end the dumping child process (as for PID 1). Needs Linux and the native fork helper of this package.
   *
   * @defaultValue true
   */
  heapLimit?: boolean | HeapLimitOptions | undefined
}

/** Options for the dump at V8's heap limit. */
export interface HeapLimitOptions {
  /**
   * Longest time, ms, that a process at its heap limit waits until its dump is written: a whole number from 1 to 2147483647. It
   * waits this long only if its end would also end the child process that writes the dump, as for PID 1 of a container.
   *
   * @defaultValue 10000
   */
  hold?: number | undefined
}

/** Options of the monitor. All are optional. CPU and memory are watched only if their option is given. */
export interface Options {
  /** How to watch CPU use. Absent: CPU is not watched. */
  cpu?: CpuOptions | undefined
  /** How to watch memory and leaks. Absent: neither is watched. */
  memory?: MemoryOptions | undefined
  /** Further rules, each with a metric and a threshold, that trigger dumps. @defaultValue [] */
  rules?: readonly RuleOptions[] | undefined
  /** Directory for all dumps; `cpu` and `memory` can each have their own. @defaultValue process.cwd() */
  profileDir?: string | undefined
  /** Signal that triggers a heap snapshot, or `false` for none. @defaultValue 'SIGUSR2' */
  signal?: NodeJS.Signals | false | undefined
  /** Whether a thread of its own takes the readings and decides about dumps, instead of the main thread. @defaultValue true */
  watchdog?: boolean | undefined
  /**
   * Whether the whole monitor starts before the call returns. If not, most of it starts when the event loop turns for the first
   * time, or when one of its methods is called earlier. Until then no reading is taken, and only the dump at V8's heap limit can
   * be made. Set this option for a program that works for long before its event loop turns.
   *
   * @defaultValue false
   */
  startAtOnce?: boolean | undefined
  /**
   * Which code makes the dumps. `'auto'`: the packages v8-profiler-next, heapdump and memwatch if the application has
   * installed them, else Node's own functions. `'packages'`: the packages; the call throws if a needed one is missing.
   * `'builtin'`: Node's own functions. An object: the packages in the object, and for any other package as with `'auto'`.
   * Packages are searched for in the `node_modules` of all parent directories of this library and of the program, never from
   * the working directory.
   *
   * @defaultValue 'auto'
   */
  engine?: Engine | undefined
  /**
   * Number of dumps that are kept for each prefix of file names, such as `cpu` or `leak-memory`: a whole number, at least 0, or
   * `false` to keep all. After a new dump, the oldest beyond that number are deleted. The new dump and manual dumps always stay.
   *
   * @defaultValue 10
   */
  keep?: number | false | undefined
  /** Receives the monitor's log lines. `false`: nothing is logged. @defaultValue a logger that writes the lines to stderr */
  logger?: Logger | false | undefined
  /**
   * Function that is called with each dump, on the main thread. It may return a promise, for which `stop()` waits. If the
   * function throws, rejects or does not settle within 60000 ms, one `'failure'` is reported.
   */
  onDump?: ((dump: Dump) => unknown) | undefined
  /**
   * A budget of dumps that many processes share, such as `redisBudget({ url, service })` of `cpu-memory-monitor/redis`. A dump is
   * made only if this budget and the `limiter` both allow it. Manual dumps and those at V8's heap limit do not use this budget.
   *
   * @defaultValue none
   */
  fleet?: FleetPlan | undefined
}

export type Engine = 'auto' | 'packages' | 'builtin' | EnginePackages

/**
 * Optional packages that the application passes in, each as `require` returns it: `{ heapdump: require('heapdump') }`. Needed
 * for packages that the monitor cannot find itself, because the library is linked or bundled. The monitor searches for a package
 * that is absent or `undefined` here.
 */
export interface EnginePackages {
  'v8-profiler-next'?: object | undefined
  heapdump?: object | undefined
  'memwatch-next'?: object | undefined
  '@airbnb/node-memwatch'?: object | undefined
}

/**
 * A threshold as the user set it: an absolute value (percent of one core for CPU, bytes for memory), or a percentage, above 0 and
 * up to 100, of the CPU or memory that the process may use.
 */
export type Threshold =
  { readonly unit: 'absolute'; readonly value: number } | { readonly unit: 'share'; readonly percent: number }

/** The options, checked and completed with defaults. */
export interface Settings {
  readonly cpu: CpuSettings<Threshold>
  readonly memory: MemorySettings<Threshold>
  readonly rules: readonly RuleToRead[]
  /** How long the process may wait at V8's heap limit for its dump, ms; `undefined`: no dump is made there. */
  readonly heapLimit: { readonly holdMs: number } | undefined
  /** Whether to take a second heap snapshot of a leak after further growth. */
  readonly leakPair: boolean
  readonly signal: NodeJS.Signals | undefined
  readonly watchdog: boolean
  readonly startAtOnce: boolean
  readonly engine: Exclude<Engine, EnginePackages> | Readonly<Record<string, object>>
  readonly keep: number | false
  /** Logger of the application. `undefined`: log lines are written to stderr. `false`: nothing is logged. */
  readonly logger: Logger | false | undefined
  readonly onDump: OnDump<Dump> | undefined
  readonly fleet: FleetPlan | undefined
}

export const DEFAULT_DURATION_MS = 30_000
export const DEFAULT_CPU_THRESHOLD = 90
export const DEFAULT_MEMORY_THRESHOLD = '1.2gb'
export const DEFAULT_BLOCKED_MS = 5000
export const DEFAULT_SIGNAL = 'SIGUSR2'

/**
 * Checks the options and completes them with defaults, so that no other code sees an absent or unchecked value.
 *
 * @throws TypeError for a value of the wrong type, or an option that does not exist.
 * @throws RangeError for a value outside the option's range. Both errors name the option. For a wrong value they also say what
 * was expected, and show what was received unless it may be a secret.
 */
export function resolveOptions(options: Options = {}): Settings {
  const top = readObject(options, 'options', optionsOf())
  const directory = readDirectory(top['profileDir'], 'options.profileDir')
  const common = () => directory
  const cpu = readCpu(top['cpu'], common)
  const memory =
    top['memory'] === undefined ? undefined : readObject(top['memory'], 'options.memory', optionsOf('memory'))
  return Object.freeze<Settings>({
    cpu,
    memory: readMemory(memory, common),
    rules: readRules(top['rules']),
    heapLimit: memory && readHeapLimit(memory['heapLimit']),
    leakPair: memory !== undefined && readBoolean(memory['leakPair'], 'options.memory.leakPair', true),
    signal: readSignal(top['signal']),
    watchdog: readBoolean(top['watchdog'], 'options.watchdog', true),
    startAtOnce: readBoolean(top['startAtOnce'], 'options.startAtOnce', false),
    engine: readEngine(top['engine']),
    keep: readKeep(top['keep'], 'options.keep'),
    logger: readLogger(top['logger']),
    onDump: readFunction(top['onDump'], 'options.onDump'),
    fleet: readFleet(top['fleet']),
  })
}

/**
 * Returns a threshold as the number with which readings are compared: percent of one core for CPU, bytes for memory.
 *
 * @param whole - All CPU or memory that the process may use, in the same unit.
 */
export function absoluteThreshold(threshold: Threshold, whole: number): number {
  return threshold.unit === 'absolute' ? threshold.value : (threshold.percent / 100) * whole
}

function readCpu(value: unknown, commonDirectory: () => string): Settings['cpu'] {
  const name = 'options.cpu'
  const given = value === undefined ? undefined : readObject(value, name, optionsOf('cpu'))
  return {
    directory: readDirectory(given?.['profileDir'], `${name}.profileDir`, commonDirectory),
    rule: given && readRule(given, name, readCpuThreshold),
    profileDurationMs: readMs(given?.['duration'], `${name}.duration`, DEFAULT_DURATION_MS),
    blockedMs: given && readBlocked(given['blocked']),
  }
}

function readMemory(
  given: Record<string, unknown> | undefined,
  commonDirectory: () => string,
): Settings['memory'] {
  const name = 'options.memory'
  return {
    directory: readDirectory(given?.['profileDir'], `${name}.profileDir`, commonDirectory),
    rule: given && readRule(given, name, readMemoryThreshold),
    sampling: given !== undefined && readBoolean(given['sampling'], `${name}.sampling`, true),
    redact: given !== undefined && readBoolean(given['redact'], `${name}.redact`, false),
  }
}

function readRule(
  given: Record<string, unknown>,
  name: string,
  readThreshold: (value: unknown) => Threshold,
): RuleSettings<Threshold> {
  return {
    intervalMs: readMs(given['interval'], `${name}.interval`, DEFAULT_INTERVAL_MS),
    threshold: readThreshold(given['threshold']),
    counter: readWhole(given['counter'], `${name}.counter`, 1, DEFAULT_COUNTER),
    budget: readLimiter(given['limiter'], `${name}.limiter`),
  }
}

export function readCpuThreshold(value: unknown = DEFAULT_CPU_THRESHOLD): Threshold {
  const name = 'options.cpu.threshold'
  const expected =
    "a number, percent of one core, at least 0, or a string such as '80%', a share of all cores that the process may use, above 0% and up to 100%"
  if (typeof value === 'number') return { unit: 'absolute', value: atLeastZero(value, name, expected) }
  if (typeof value !== 'string') throw typeError(name, expected, value)
  return { unit: 'share', percent: readShare(value, name, expected) }
}

export function readMemoryThreshold(value: unknown = DEFAULT_MEMORY_THRESHOLD): Threshold {
  const name = 'options.memory.threshold'
  const expected =
    "a number of bytes, at least 0, a size such as '1.2gb' (b, kb, mb, gb, tb, pb), or a string such as '85%', a share of the memory that the process may use, above 0% and up to 100%"
  if (typeof value === 'number') return { unit: 'absolute', value: atLeastZero(value, name, expected) }
  if (typeof value !== 'string') throw typeError(name, expected, value)
  const sizeBytes = parseSize(value)
  if (sizeBytes !== undefined) return { unit: 'absolute', value: sizeBytes }
  return { unit: 'share', percent: readShare(value, name, expected) }
}

function readBlocked(value: unknown): number | undefined {
  if (value === false) return undefined
  return readMs(value, 'options.cpu.blocked', DEFAULT_BLOCKED_MS, ', or false')
}

function readHeapLimit(heapLimit: unknown = true): Settings['heapLimit'] {
  const name = 'options.memory.heapLimit'
  if (heapLimit === false) return undefined
  if (heapLimit === true) return { holdMs: DEFAULT_HOLD_MS }
  if (typeof heapLimit !== 'object' || heapLimit === null || Array.isArray(heapLimit))
    throw typeError(name, 'true, false or an object such as { hold: 10000 }', heapLimit)
  return { holdMs: readMs(readObject(heapLimit, name, ['hold'])['hold'], `${name}.hold`, DEFAULT_HOLD_MS) }
}

function readSignal(value: unknown = DEFAULT_SIGNAL): NodeJS.Signals | undefined {
  if (value === false) return undefined
  const name = 'options.signal'
  if (typeof value !== 'string')
    throw typeError(name, "the name of a signal such as 'SIGUSR2', or false", value)
  // The default signal is accepted even on a platform without it, such as Windows. The start then only logs that it is missing.
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

function readFleet(value: unknown): FleetPlan | undefined {
  if (value === undefined) return undefined
  if (typeof value === 'object' && value !== null && Object.hasOwn(value, FLEET_PLAN))
    return value as FleetPlan
  throw typeError('options.fleet', "what redisBudget() of 'cpu-memory-monitor/redis' returns", value)
}

/** Functions that a passed memwatch must have. `HeapDiff` is one of them because every event emitter has the other two. */
const MEMWATCH_FUNCTIONS = ['on', 'removeListener', 'HeapDiff']
const PACKAGE_FUNCTIONS: Readonly<Record<keyof EnginePackages, readonly string[]>> = {
  'v8-profiler-next': ['setGenerateType', 'setSamplingInterval', 'startProfiling', 'stopProfiling'],
  heapdump: ['writeSnapshot'],
  'memwatch-next': MEMWATCH_FUNCTIONS,
  '@airbnb/node-memwatch': MEMWATCH_FUNCTIONS,
}

function readEngine(value: unknown = 'auto'): Settings['engine'] {
  const expected =
    "'auto', 'packages', 'builtin', or an object of packages such as { heapdump: require('heapdump') }"
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return readPackages(value)
  if (typeof value !== 'string') throw typeError('options.engine', expected, value)
  if (value !== 'auto' && value !== 'packages' && value !== 'builtin') {
    throw rangeError('options.engine', expected, value)
  }
  return value
}

function readPackages(value: object): Readonly<Record<string, object>> {
  const given = readObject(value, 'options.engine', Object.keys(PACKAGE_FUNCTIONS))
  const packages = Object.entries(PACKAGE_FUNCTIONS).flatMap(([name, functions]) => {
    const exports = given[name]
    if (exports === undefined) return []
    const expected = `the package as require('${name}') returns it, with the functions ${functions.join(', ')}`
    if (!hasFunctions(exports, functions)) throw typeError(`options.engine['${name}']`, expected, exports)
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
