/**
 * Error about an unreadable file or unexpected content. Most messages continue a sentence that begins with its path: "is empty".
 */
export class UnreadableError extends Error {
  override readonly name = 'UnreadableError'
}

/** The message of a caught error. If a value that is no Error was thrown, returns this value as text. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

export type JsonObject = Readonly<Record<string, unknown>>

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new UnreadableError(`is not whole JSON: ${error instanceof Error ? shorten(error.message) : ''}`)
  }
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function textOr(value: unknown, otherwise: string): string {
  return typeof value === 'string' ? value : otherwise
}

/** The value if it is a number with a magnitude of at most 2^53 - 1, else the default. The limit keeps sums of numbers finite. */
export function numberOr(value: unknown, otherwise: number): number {
  return typeof value === 'number' && Math.abs(value) <= Number.MAX_SAFE_INTEGER ? value : otherwise
}

function shorten(text: string): string {
  return text.length > 120 ? `${text.slice(0, 120)}…` : text
}
