import { withoutContent } from './names'

/**
 * JSON without the data in names of files: queries and credentials of URLs, and the content of `data:` URLs. A profile has no other
 * contents of the process.
 */
export function withoutUrlContents(json: string): string {
  const { done, open } = cleaned(json, 0)
  return done + open
}

/** The same in pieces. A piece ends where no string is cut. */
export async function* withoutUrlContentsOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let open = ''
  for await (const chunk of chunks) {
    // Bytes, whatever they encode: what is looked for is ASCII.
    const next = cleaned(open + chunk.toString('latin1'), open.length)
    open = next.open
    yield Buffer.from(next.done, 'latin1')
  }
  if (open !== '') throw new Error('it ends within a string')
}

/**
 * Cleans the strings that end within a text.
 *
 * @param lookedAt - The text begins with a string that does not end before this index.
 * @returns The text up to the string that does not end, and that string as it is. In linear time, whatever the strings contain.
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

/** Index of the quote that ends the string which begins at `start`, -1 without one: the first with an even number of backslashes. */
function closingQuote(text: string, start: number, from: number): number {
  for (let at = text.indexOf('"', from); at >= 0; at = text.indexOf('"', at + 1)) {
    let before = at - 1
    while (before > start && text[before] === '\\') before--
    if ((at - 1 - before) % 2 === 0) return at
  }
  return -1
}
