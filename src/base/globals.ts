/**
 * Globals, saved when this module is loaded, before an application replaces them, deletes them (hardening snippets
 * contain `delete globalThis.Atomics`) or freezes `globalThis`. On a frozen `globalThis` Node cannot define the globals
 * that it creates on first use, such as AbortController.
 */
export const { AbortController, Atomics, Promise } = globalThis

export const parseJson = JSON.parse.bind(JSON) as (text: string) => unknown
export const toJson = JSON.stringify.bind(JSON)
export const { hasOwn } = Object

/** Like `key in given`, but ignores properties that an application has added to `Object.prototype`. */
export function owns<Given extends object, Key extends PropertyKey>(
  given: Given,
  key: Key,
): given is Extract<Given, Readonly<Record<Key, unknown>>> {
  return hasOwn(given, key)
}

const { assign, create } = Object

/** Copies an object without its prototype, so that additions to `Object.prototype` are not read from it. */
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
    return 'an object was thrown that cannot be converted to a string'
  }
}

/** Returns the code of a system error, such as `ENOSPC`, because its message contains a path; of other errors, the message. */
export function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? messageOf(error)
}

/** Returns the first line of {@link messageOf}: errors of native addons continue with a list of paths. */
export function firstLineOf(error: unknown): string {
  return messageOf(error).split('\n', 1)[0] ?? ''
}
