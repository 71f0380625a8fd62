import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { withoutUrlContents, withoutUrlContentsOf } from '../../../src/redact/urls'

const PROFILE = JSON.stringify({
  nodes: [
    { callFrame: { functionName: 'a?b', url: 'file:///app/shop.js?token=secret' } },
    { callFrame: { functionName: '"quoted"\\', url: 'data:text/javascript,export const pin = "secret"' } },
    { callFrame: { functionName: 'наименование', url: 'https://shop.example/a.js#secret' } },
    { callFrame: { functionName: '', url: '/app/what?.js' } },
  ],
  samples: [1, 2, 3],
})

const EXPECTED = JSON.stringify({
  nodes: [
    { callFrame: { functionName: 'a?b', url: 'file:///app/shop.js' } },
    { callFrame: { functionName: '"quoted"\\', url: 'data:(redacted)' } },
    { callFrame: { functionName: 'наименование', url: 'https://shop.example/a.js' } },
    { callFrame: { functionName: '', url: '/app/what?.js' } },
  ],
  samples: [1, 2, 3],
})

/** What comes out of pieces of a length. */
async function inPieces(text: string, length: number): Promise<string> {
  const bytes = Buffer.from(text)
  async function* pieces() {
    for (let at = 0; at < bytes.length; at += length)
      yield await Promise.resolve(bytes.subarray(at, at + length))
  }
  const cleaned: Buffer[] = []
  for await (const piece of withoutUrlContentsOf(pieces())) cleaned.push(piece)
  return Buffer.concat(cleaned).toString('utf8')
}

describe('names of files in JSON', () => {
  it('lose their queries and the content of data URLs, and nothing else changes', () => {
    assert.equal(withoutUrlContents(PROFILE), EXPECTED)
  })

  it('do so wherever a piece ends', async () => {
    for (let length = 1; length <= PROFILE.length; length += 1)
      assert.equal(await inPieces(PROFILE, length), EXPECTED, `${length} bytes`)
  })

  it('do so however long they are', async () => {
    const long = JSON.stringify({ url: `data:text/javascript,${'secret\n"'.repeat(1_000_000)}`, rest: 1 })
    assert.equal(await inPieces(long, 1024 * 1024), '{"url":"data:(redacted)","rest":1}')
  })

  it('are not sent when the file ends within one', async () => {
    await assert.rejects(inPieces('{"url":"file:///app', 8), /ends within a string/)
  })
})
