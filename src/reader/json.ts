/** Error about an unreadable or unexpected file. Most messages are the end of a sentence after the file's path: "is empty". */
export class UnreadableError extends Error {
  override readonly name = 'UnreadableError'
}

/** The message of an error; if something else was thrown, that as text. */
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

/** The value if it is a number of at most 2^53 - 1, so that sums of such numbers are never infinite; else the default. */
export function numberOr(value: unknown, otherwise: number): number {
  return typeof value === 'number' && Math.abs(value) <= Number.MAX_SAFE_INTEGER ? value : otherwise
}

function shorten(text: string): string {
  return text.length > 120 ? `${text.slice(0, 120)}…` : text
}
