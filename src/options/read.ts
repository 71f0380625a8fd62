import { join, resolve } from 'node:path'
import { inspect } from 'node:util'
import { ownOnly } from '../base/globals'
import { parseSize } from '../base/size'
import { MAX_TIMER_MS } from '../base/time'
import type { Logger } from '../report/listeners'

// Functions that check the value of one option and return it, or its default when it is absent. They throw a TypeError for
// a wrong type and a RangeError for a wrong value. The message names the option, the expected and the received value. If the
// type is wrong, the message shows a received number or boolean, but only the type of any other value: it may be a secret.

/**
 * Signals that the monitor cannot listen for: SIGKILL and SIGSTOP cannot be caught, V8's profiler uses SIGPROF, Node's
 * debugger SIGUSR1, and after a fault such as SIGSEGV no JavaScript can run.
 */
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

/** Matches an unknown option name that messages may show. Other names may be secrets, such as long AWS keys and URLs. */
const NAME_OF_OPTION = /^[\w-]{1,32}$/

export function readObject(value: unknown, name: string, keys: readonly string[]): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw typeError(name, 'an object', value)
  }
  for (const key of Object.keys(value)) {
    if (!keys.includes(key)) {
      // The key may be a secret: the user may have put the value of an option in the place of its name.
      const unknown = NAME_OF_OPTION.test(key)
        ? `${name}.${key}`
        : `${name}: a key that is not shown, because it may be a secret,`
      throw new TypeError(`${unknown} is not an option; ${name} takes ${keys.join(', ')}`)
    }
  }
  return ownOnly(value as Record<string, unknown>)
}

export function readMs(value: unknown, name: string, otherwise: number, orElse = ''): number {
  if (value === undefined) return otherwise
  const expected = `a whole number of milliseconds from 1 to ${MAX_TIMER_MS}${orElse}`
  if (typeof value !== 'number') throw typeError(name, expected, value)
  if (!Number.isInteger(value) || value < 1 || value > MAX_TIMER_MS) throw rangeError(name, expected, value)
  return value
}

export function readWhole(value: unknown, name: string, least: number, otherwise: number): number {
  if (value === undefined) return otherwise
  const expected = `a whole number, at least ${least}`
  if (typeof value !== 'number') throw typeError(name, expected, value)
  if (!Number.isSafeInteger(value) || value < least) throw rangeError(name, expected, value)
  return value
}

/** Parses a percentage such as `'85%'`, above 0 and up to 100. @returns The number before the `%`. */
export function readShare(text: string, name: string, expected: string): number {
  const percent = /^\s*(\d+(?:\.\d+)?)\s*%\s*$/.exec(text)?.[1]
  if (percent === undefined || Number(percent) <= 0 || Number(percent) > 100)
    throw rangeError(name, expected, text)
  return Number(percent)
}

export function atLeastZero(value: number, name: string, expected: string): number {
  if (!Number.isFinite(value) || value < 0) throw rangeError(name, expected, value)
  return value
}

/** Path that replaces a removed working directory. Nothing can be created below it, and its name tells the operator why. */
const REMOVED_DIRECTORY = '/dev/null/working-directory-removed'

/** Checks an option that is a path. @param otherwise - Returns the default. @default the working directory */
export function readDirectory(value: unknown, name: string, otherwise = () => absolute('.')): string {
  if (value === undefined) return otherwise()
  const expected = 'a path, not empty and without a null character'
  if (typeof value !== 'string') throw typeError(name, expected, value)
  if (value === '' || value.includes('\0')) throw rangeError(name, expected, value)
  return absolute(value)
}

/** Checks a number of bytes, at least 0, or parses a size such as `'500mb'`. @returns The number of bytes. */
export function readSize(value: unknown, name: string, expected: string): number {
  if (typeof value === 'number') return atLeastZero(value, name, expected)
  if (typeof value !== 'string') throw typeError(name, expected, value)
  const sizeBytes = parseSize(value)
  if (sizeBytes === undefined) throw rangeError(name, expected, value)
  return sizeBytes
}

/** Returns a path as an absolute one. Does not throw if the working directory was removed: then only dumps to the path fail. */
function absolute(path: string): string {
  try {
    return resolve(path)
  } catch {
    return join(REMOVED_DIRECTORY, path)
  }
}

export function readBoolean(value: unknown, name: string, otherwise: boolean): boolean {
  if (value === undefined) return otherwise
  if (typeof value !== 'boolean') throw typeError(name, 'true or false', value)
  return value
}

export function readFunction<Called extends (...values: never[]) => unknown>(
  value: unknown,
  name: string,
): Called | undefined {
  if (value !== undefined && typeof value !== 'function') throw typeError(name, 'a function', value)
  return value as Called | undefined
}

export function readLogger(value: unknown): Logger | false | undefined {
  if (value === undefined || value === false) return value
  const expected = 'an object with the functions info, warn and error, or false'
  if (typeof value !== 'object' || value === null) throw typeError('options.logger', expected, value)
  for (const level of ['info', 'warn', 'error']) {
    if (typeof (value as Record<string, unknown>)[level] !== 'function') {
      throw typeError('options.logger', expected, value)
    }
  }
  return value as Logger
}

export function typeError(name: string, expected: string, received: unknown): TypeError {
  return new TypeError(`${name} must be ${expected}; received ${kindOf(received)}`)
}

export function rangeError(name: string, expected: string, received: unknown): RangeError {
  return new RangeError(`${name} must be ${expected}; received ${describe(received)}`)
}

/** Largest number of characters of a received string that an error message shows. */
const MOST_SHOWN = 80
/** Matches a text that contains `@` or `://`: it may be a URL, or a part of one, with a user name and a password. */
const MAY_HOLD_A_SECRET = /@|:\/\//

/** Describes a received value for an error message. A string is shown unless it may hold a secret. */
export function describe(value: unknown): string {
  if (typeof value !== 'string' || MAY_HOLD_A_SECRET.test(value)) return kindOf(value)
  return inspect(value.length > MOST_SHOWN ? `${value.slice(0, MOST_SHOWN)}…` : value)
}

/** Describes a value that may be a secret by its type. Numbers and booleans hold no secret and are shown. Never throws. */
export function kindOf(value: unknown): string {
  if (typeof value === 'string') return 'a string (not shown, because it may be a secret)'
  if (typeof value === 'function' || typeof value === 'symbol') return `a ${typeof value}`
  if (typeof value !== 'object' || value === null) return String(value)
  return isArray(value) ? 'an array' : 'an object'
}

/** Whether a value is an array. Returns `false` for a revoked proxy, for which `Array.isArray` would throw. */
function isArray(value: object): boolean {
  try {
    return Array.isArray(value)
  } catch {
    return false
  }
}
