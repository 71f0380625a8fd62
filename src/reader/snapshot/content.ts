import type { Readable } from 'node:stream'
import { named } from '../answer'
import type { Input } from '../input'
import { streamOf } from '../input'
import { UnreadableError } from '../json'
import { SnapshotCheck } from './check'

/**
 * Maximum size of a snapshot's content, as a multiple of the size that its file states. A gzip file can hold more than it
 * states.
 */
const SLACK = 1.01

export interface Content {
  /** Opens a new stream of the content, because the content is read twice: to check it, and to load it. */
  readonly open: () => Readable
  /** Stated size of the content, bytes. The memory for the analysis is estimated from it. */
  readonly sizeBytes: number
}

/** Checks snapshot files. @throws UnreadableError for a file that is no whole snapshot. */
export async function checkSnapshots(inputs: readonly Input[]): Promise<void> {
  for (const input of inputs) {
    try {
      await checkContent(contentOf(input))
    } catch (error) {
      throw named(input.path, error)
    }
  }
}

export function contentOf(input: Input): Content {
  return { open: () => streamOf(input), sizeBytes: input.sizeBytes }
}

/** Checks the content of one snapshot. @throws UnreadableError for content that is no whole snapshot. */
export async function checkContent(content: Content): Promise<void> {
  const check = new SnapshotCheck()
  await eachChunk(content, (chunk) => check.push(chunk))
  check.end()
}

/**
 * Calls `use` for each chunk of the content.
 *
 * @throws UnreadableError for content that is larger than its stated size, or whose gzip data is damaged.
 */
export async function eachChunk(
  { open, sizeBytes }: Content,
  use: (chunk: Buffer) => void | Promise<void>,
): Promise<void> {
  let read = 0
  try {
    for await (const chunk of open() as AsyncIterable<Buffer>) {
      read += chunk.length
      if (read > sizeBytes * SLACK)
        throw new UnreadableError('is larger than its size says: it has grown, or its gzip data is damaged')
      await use(chunk)
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code?.startsWith('Z_') === true)
      throw new UnreadableError('is damaged: its gzip data is cut or wrong')
    throw error
  }
}
