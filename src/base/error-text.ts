/**
 * Text of an error for a log line. Any value can be thrown, and errors come from other vm contexts, where `instanceof` fails.
 * Never throws, and never returns the bare word "undefined".
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

/** The first line of that text: errors of addons continue with a list of paths. */
export function firstLineOf(error: unknown): string {
  return messageOf(error).split('\n', 1)[0] ?? ''
}
