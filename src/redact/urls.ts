import { withoutContent } from './names'

/** A string of JSON, as it is written. */
const STRING = /"[^"\\]*(?:\\[^][^"\\]*)*"/g

/**
 * JSON without the data in names of files: queries of URLs, and the content of `data:` URLs. A profile has no other contents of
 * the process.
 */
export function withoutUrlContents(json: string): string {
  return json.replace(STRING, (string) => `"${withoutContent(string.slice(1, -1))}"`)
}

/** The same in pieces. A piece ends where no string is cut. */
export async function* withoutUrlContentsOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let rest = ''
  for await (const chunk of chunks) {
    // Bytes, whatever they encode: what is looked for is ASCII.
    const text = rest + chunk.toString('latin1')
    let end = 0
    for (const { index, 0: string } of text.matchAll(STRING)) end = index + string.length
    const cut = text.indexOf('"', end)
    const whole = cut < 0 ? text.length : cut
    rest = text.slice(whole)
    yield Buffer.from(withoutUrlContents(text.slice(0, whole)), 'latin1')
  }
  if (rest !== '') throw new Error('it ends within a string')
}
