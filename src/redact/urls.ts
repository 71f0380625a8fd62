import { withoutContent } from './names'

/**
 * Redacts a profile or its sidecar, given as JSON: removes queries and credentials of URLs, and the content of `data:` URLs, from
 * all strings. A profile holds no other data of the process.
 */
export function withoutUrlContents(json: string): string {
  const { done, open } = cleaned(json, 0)
  return done + open
}

/** {@link withoutUrlContents} for JSON that arrives in chunks. No yielded chunk ends inside a string. */
export async function* withoutUrlContentsOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let open = ''
  for await (const chunk of chunks) {
    // Latin-1 maps each byte to one character, so that a cut UTF-8 sequence survives. All that is searched for is ASCII.
    const next = cleaned(open + chunk.toString('latin1'), open.length)
    open = next.open
    yield Buffer.from(next.done, 'latin1')
  }
  if (open !== '') throw new Error('its JSON ends within a string')
}

/**
 * Redacts all complete JSON strings of a text, in linear time.
 *
 * @param lookedAt - Index before which the string that starts the text is known not to end; 0 without such a string.
 * @returns `done`: the redacted text up to a last string without an end; `open`: the start of that string, unchanged.
 */
function cleaned(text: string, lookedAt: number): { readonly done: string; readonly open: string } {
  const parts: string[] = []
  let at = 0
  for (let start = text.indexOf('"'); start >= 0; start = text.indexOf('"', at)) {
    const end = closingQuote(text, start, Math.max(start + 1, lookedAt))
    if (end < 0) return { done: parts.join('') + text.slice(at, start), open: text.slice(start) }
    parts.push(text.slice(at, start), `"${withoutContent(text.slice(start + 1, end))}"`)
    at = end + 1
  }
  return { done: parts.join('') + text.slice(at), open: '' }
}

/** Index of the quote that ends the string at `start`: the first after an even number of backslashes; -1 without one. */
function closingQuote(text: string, start: number, from: number): number {
  for (let at = text.indexOf('"', from); at >= 0; at = text.indexOf('"', at + 1)) {
    let before = at - 1
    while (before > start && text[before] === '\\') before--
    if ((at - 1 - before) % 2 === 0) return at
  }
  return -1
}
