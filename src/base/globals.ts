/**
 * Globals that the monitor needs after its start, as they were when this module was loaded. Applications replace them,
 * delete them (`delete globalThis.Atomics` is found in hardening snippets) or freeze `globalThis`, after which Node can
 * no longer define the globals that it creates on first use (AbortController).
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
 * Text of an error for a log line. Takes any thrown value, also an error of another vm context, for which `instanceof`
 * is false. Never throws, and never returns the bare word "undefined".
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

/** The code of a system error, such as `ENOSPC`, without the path that its message has; the message of any other error. */
export function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? messageOf(error)
}

/** The first line of {@link messageOf}: errors of native addons continue with a list of paths. */
export function firstLineOf(error: unknown): string {
  return messageOf(error).split('\n', 1)[0] ?? ''
}
