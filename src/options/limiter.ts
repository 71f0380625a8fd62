import type { Budget } from '../dispatch/budget'
import { rangeError, readWhole, typeError } from './read'

/** Names of intervals that the option `limiter` accepts. It also accepts an interval as a number of ms. */
export type IntervalName = 'second' | 'sec' | 'minute' | 'min' | 'hour' | 'hr' | 'day'

/**
 * A token bucket `[n, interval]`: at most `n` dumps per interval. The first interval begins with the first dump.
 *
 * `n` is a whole number, at least 0; with 0, only manual dumps are made. The interval is a name or a number of ms above 0.
 */
export type LimiterOption = readonly [tokensPerInterval: number, interval: IntervalName | number]

export const DEFAULT_LIMITER: LimiterOption = [3, 'hour']
export const DEFAULT_KEEP = 10

const INTERVALS_MS: Readonly<Record<IntervalName, number>> = {
  second: 1000,
  sec: 1000,
  minute: 60_000,
  min: 60_000,
  hour: 3_600_000,
  hr: 3_600_000,
  day: 86_400_000,
}

/** Checks an option `limiter` and returns the budget that it sets. */
export function readLimiter(value: unknown = DEFAULT_LIMITER, name: string): Budget {
  const names = Object.keys(INTERVALS_MS)
  if (!Array.isArray(value)) {
    throw typeError(name, "an array [n, interval] such as [3, 'hour']", value)
  }
  if (value.length !== 2) {
    throw rangeError(name, "an array of two values [n, interval] such as [3, 'hour']", value)
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
  const expected = `a number of milliseconds above 0, or one of ${names.join(', ')}`
  if (typeof value === 'string') {
    if (!names.includes(value)) throw rangeError(name, expected, value)
    return INTERVALS_MS[value as IntervalName]
  }
  if (typeof value !== 'number') throw typeError(name, expected, value)
  if (!Number.isFinite(value) || value <= 0) throw rangeError(name, expected, value)
  return value
}

/** Checks the option `keep` and returns it: the number of dumps to keep, or `false` to keep all. */
export function readKeep(value: unknown, name: string): number | false {
  if (value === false) return false
  return readWhole(value, name, 0, DEFAULT_KEEP)
}
