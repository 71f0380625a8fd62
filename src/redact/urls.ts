import { withoutContent } from './names'

/**
 * Redacts a profile, or the `.json` sidecar beside a dump. From all strings of this JSON it removes queries and credentials of
 * URLs, and the content of `data:` URLs. A profile holds no other data of the process.
 */
export function withoutUrlContents(json: string): string {
  const { done, open } = cleaned(json, 0)
  return done + open
}

/**
 * Redacts JSON that arrives in chunks: removes from all its strings the queries and credentials of URLs, and the content of
 * `data:` URLs, as {@link withoutUrlContents} does. No yielded chunk ends inside a string.
 */
export async function* withoutUrlContentsOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let open = ''
  for await (const chunk of chunks) {
    // Latin-1 maps each byte to one character, so a UTF-8 sequence that two chunks share survives. The searched texts are ASCII.
    const next = cleaned(open + chunk.toString('latin1'), open.length)
    open = next.open
    yield Buffer.from(next.done, 'latin1')
  }
  if (open !== '') throw new Error('the JSON of the profile ends within a string')
}

/**
 * Redacts all complete JSON strings of a text, in linear time.
 *
 * @param lookedAt - Number of characters at the beginning of the text that are an `open` string of an earlier call. They contain
 * no closing quote, so the search for one begins after them. 0 if there is no such string.
 * @returns `done`: the redacted text without a last string that has no end; `open`: the start of that string, unchanged, or ''.
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

/** Index of the quote that ends the string at `start`: the first one after an even number of backslashes. -1 if there is none. */
function closingQuote(text: string, start: number, from: number): number {
  for (let at = text.indexOf('"', from); at >= 0; at = text.indexOf('"', at + 1)) {
    let before = at - 1
    while (before > start && text[before] === '\\') before--
    if ((at - 1 - before) % 2 === 0) return at
  }
  return -1
}
