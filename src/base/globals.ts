/**
 * Globals, saved when this module is loaded, before an application replaces them, deletes them (hardening snippets
 * contain `delete globalThis.Atomics`) or freezes `globalThis`. On a frozen `globalThis` Node cannot define the globals
 * that it creates on first use, such as AbortController.
 */
export const { AbortController, Atomics, Promise } = globalThis

export const parseJson = JSON.parse.bind(JSON) as (text: string) => unknown
export const toJson = JSON.stringify.bind(JSON)
export const { hasOwn } = Object

/** Whether an object itself has a property. Properties that an application has added to `Object.prototype` do not count. */
export function owns<Given extends object, Key extends PropertyKey>(
  given: Given,
  key: Key,
): given is Extract<Given, Readonly<Record<Key, unknown>>> {
  return hasOwn(given, key)
}

const { assign, create } = Object

/** Copies an object's own properties to an object without a prototype, from which no addition to `Object.prototype` is read. */
export function ownOnly<Given extends object>(given: Given): Given {
  return assign(create(null) as Given, given)
}

/**
 * Returns the text of an error for a log line. Accepts any thrown value, even an error of another vm context, for which
 * `instanceof Error` is false. Never throws, and never returns the bare word "undefined".
 */
export function messageOf(error: unknown): string {
  try {
    if (error === '') return 'an empty string was thrown'
    if (typeof error === 'string') return error
    const { message } = Object(error) as { readonly message?: unknown }
    return typeof message === 'string' && message !== '' ? message : `${String(error)} was thrown`
  } catch {
    return 'an object was thrown whose text cannot be read'
  }
}

/** Returns the code of a system error, such as `ENOSPC`: its message contains a path. Returns the message of any other error. */
export function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? messageOf(error)
}

/** Returns the first line of an error's text for a log line. In errors of native addons, a list of paths follows it. */
export function firstLineOf(error: unknown): string {
  return messageOf(error).split('\n', 1)[0] ?? ''
}
