import { OWN_RULES, RULE_NAME } from '../files/names'
import { type LimiterOption, readLimiter } from '../options/limiter'
import {
  atLeastZero,
  rangeError,
  readMs,
  readObject,
  readShare,
  readSize,
  readWhole,
  typeError,
} from '../options/read'
import type { Metric } from '../watch/metrics'
import type { NamedRule, RuleSettings } from '../watch/watch'

export const DEFAULT_INTERVAL_MS = 1000
export const DEFAULT_COUNTER = 1

/**
 * A function of the application that returns a reading: called on the main thread, once per `interval`, but not
 * before the promise of the previous call has settled.
 */
export type RuleFunction = () => number | Promise<number>

/** A rule of the option `rules`: the quantity to read, and the dump to make when readings are above a threshold. */
export interface RuleOptions {
  /**
   * Name of the rule in events and file names (`<name>-cpu-…`, `<name>-memory-…`). At most 32 characters of `a` to `z`, `0`
   * to `9` and `-`, without `-` at either end. Reserved: `cpu`, `memory`, `threshold`, `blocked`, `leak`, `manual` and
   * `heap-limit`.
   */
  name: string
  /**
   * The quantity that is read. `'heap'`: used heap in percent of V8's heap limit. `'external'`: memory outside of the heap
   * that belongs to objects of the main thread, mostly Buffers, in bytes. `'eventLoopDelay'`: 99th percentile of the delay of
   * the main thread's event loop, in ms. `'eventLoopUtilization'`: percentage of the time in which that event loop had work.
   * `'container'`: memory that all processes of a cgroup use, in percent of the cgroup's limit; if several cgroups limit
   * the process, the one closest to its limit. Of the monitored processes in that cgroup, only the largest dumps. A function: the
   * number that it returns.
   */
  metric: Exclude<Metric, 'function'> | RuleFunction
  /**
   * Value above which a reading counts for `counter`. For `'heap'`, `'eventLoopUtilization'` and `'container'` a string such as
   * `'85%'`, above 0 and up to 100. For `'external'` a number of bytes, at least 0, or a size such as `'500mb'`. For
   * `'eventLoopDelay'` a number of ms, at least 0. For a function any finite number.
   */
  threshold: number | string
  /** What the rule dumps: a CPU profile or a heap snapshot. */
  dump: 'cpu' | 'memory'
  /** Time between two readings, ms: a whole number from 1 to 2147483647. @defaultValue 1000 */
  interval?: number | undefined
  /**
   * Number of readings above the threshold in a row that trigger a dump: a whole number, at least 1.
   *
   * @defaultValue 1
   */
  counter?: number | undefined
  /** Maximum number of dumps of this rule per interval, as `[dumps, interval]`. @defaultValue [3, 'hour'] */
  limiter?: LimiterOption | undefined
}

/** A rule of the option `rules`, with the function that returns its readings if its metric is a function. */
export interface RuleToRead extends NamedRule {
  readonly read?: RuleFunction | undefined
}

const KEYS = ['name', 'metric', 'threshold', 'dump', 'interval', 'counter', 'limiter']
const METRICS: readonly unknown[] = [
  'heap',
  'external',
  'eventLoopDelay',
  'eventLoopUtilization',
  'container',
] satisfies Metric[]
const RESERVED: readonly string[] = ['cpu', 'memory', ...OWN_RULES]

/** Checks the option `rules` and completes its rules with defaults. */
export function readRules(value: unknown): readonly RuleToRead[] {
  if (value === undefined) return []
  if (!Array.isArray(value)) throw typeError('options.rules', 'an array of rules', value)
  const rules = value.map((given, at) => readRule(given, `options.rules[${at}]`))
  for (const [at, { name }] of rules.entries()) {
    const isTwice = rules.findIndex((rule) => rule.name === name) !== at
    if (isTwice) throw rangeError(`options.rules[${at}].name`, 'a name that no other rule has', name)
  }
  return rules
}

/** @throws TypeError for an option that cannot be changed while the monitor runs. */
export function refuseFixed(name: string, given: Record<string, unknown>, live: readonly string[]): void {
  const fixed = Object.keys(given).find((key) => !live.includes(key))
  if (fixed === undefined) return
  throw new TypeError(
    `${name}.${fixed} cannot be changed while the monitor runs; update() takes ${live.join(', ')}`,
  )
}

/** Returns threshold, counter and budget of a rule after an update. Values that the update does not contain stay. */
export function changesOf<Threshold>(
  { threshold: inForce, counter, budget }: RuleSettings<Threshold>,
  given: Record<string, unknown>,
  name: string,
  readThreshold: (value: unknown) => Threshold,
): Pick<RuleSettings<Threshold>, 'threshold' | 'counter' | 'budget'> {
  const { threshold, limiter } = given
  return {
    threshold: threshold === undefined ? inForce : readThreshold(threshold),
    counter: readWhole(given['counter'], `${name}.counter`, 1, counter),
    budget: limiter === undefined ? budget : readLimiter(limiter, `${name}.limiter`),
  }
}

/** Options of a rule that `update()` can change while the monitor runs. */
const LIVE_KEYS = ['threshold', 'counter', 'limiter']

/**
 * Checks `rules` in the argument of `update()`.
 *
 * @returns All rules of the option `rules`, with the changes of the update.
 */
export function changeRules(value: unknown, rules: readonly RuleToRead[]): readonly RuleToRead[] {
  if (value === undefined) return rules
  if (!Array.isArray(value)) throw typeError('update.rules', 'an array of rules', value)
  const changed = new Map(rules.map((rule) => [rule.name, rule]))
  for (const [index, change] of value.entries()) {
    const at = `update.rules[${index}]`
    const given = readObject(change, at, KEYS)
    refuseFixed(at, given, ['name', ...LIVE_KEYS])
    const rule = changed.get(given['name'] as string)
    if (!rule)
      throw rangeError(`${at}.name`, `the name of a rule (${[...changed.keys()].join(', ')})`, given['name'])
    const read = (threshold: unknown) => readThreshold(rule.metric, threshold, `${at}.threshold`)
    changed.set(rule.name, { ...rule, ...changesOf(rule, given, at, read) })
  }
  return [...changed.values()]
}

function readRule(value: unknown, at: string): RuleToRead {
  const given = readObject(value, at, KEYS)
  const { metric, read } = readMetric(given['metric'], `${at}.metric`)
  return {
    name: readName(given['name'], `${at}.name`),
    metric,
    ...(read && { read }),
    threshold: readThreshold(metric, given['threshold'], `${at}.threshold`),
    dump: readDump(given['dump'], `${at}.dump`),
    intervalMs: readMs(given['interval'], `${at}.interval`, DEFAULT_INTERVAL_MS),
    counter: readWhole(given['counter'], `${at}.counter`, 1, DEFAULT_COUNTER),
    budget: readLimiter(given['limiter'], `${at}.limiter`),
  }
}

function readName(value: unknown, at: string): string {
  const expected = `1 to 32 characters of a-z, 0-9 and -, without - at either end, and none of the reserved names ${RESERVED.join(', ')}`
  if (typeof value !== 'string') throw typeError(at, expected, value)
  if (!RULE_NAME.test(value) || RESERVED.includes(value)) throw rangeError(at, expected, value)
  return value
}

function readMetric(value: unknown, at: string): { metric: Metric; read?: RuleFunction } {
  const expected = `a function, or one of ${METRICS.join(', ')}`
  if (typeof value === 'function') return { metric: 'function', read: value as RuleFunction }
  if (typeof value !== 'string') throw typeError(at, expected, value)
  if (!METRICS.includes(value)) throw rangeError(at, expected, value)
  return { metric: value as Metric }
}

function readDump(value: unknown, at: string): NamedRule['dump'] {
  const expected = "'cpu' or 'memory'"
  if (typeof value !== 'string') throw typeError(at, expected, value)
  if (value !== 'cpu' && value !== 'memory') throw rangeError(at, expected, value)
  return value
}

function readThreshold(metric: Metric, value: unknown, at: string): number {
  switch (metric) {
    case 'heap':
    case 'eventLoopUtilization':
    case 'container': {
      const expected = "a string such as '85%', above 0% and up to 100% of what the metric can reach"
      if (typeof value !== 'string') throw typeError(at, expected, value)
      return readShare(value, at, expected)
    }
    case 'external': {
      const expected = "a number of bytes, at least 0, or a size such as '500mb' (b, kb, mb, gb, tb, pb)"
      return readSize(value, at, expected)
    }
    case 'eventLoopDelay': {
      const expected = 'a number of milliseconds, at least 0'
      if (typeof value !== 'number') throw typeError(at, expected, value)
      return atLeastZero(value, at, expected)
    }
    case 'function':
      if (typeof value !== 'number') throw typeError(at, 'a number', value)
      if (!Number.isFinite(value)) throw rangeError(at, 'a finite number', value)
      return value
  }
}
