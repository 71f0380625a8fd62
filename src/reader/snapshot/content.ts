import type { Readable } from 'node:stream'
import { named } from '../answer'
import type { Input } from '../input'
import { streamOf } from '../input'
import { UnreadableError } from '../json'
import { SnapshotCheck } from './check'

/** A snapshot larger than its stated size times this is refused: a gzip file can hold more than it states. */
const SLACK = 1.01

export interface Content {
  /** Opens the content once more: it is read twice. */
  readonly open: () => Readable
  /** Size of the content that memory was reserved for, bytes. */
  readonly sizeBytes: number
}

/** @throws UnreadableError for a file that is no whole snapshot. */
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

/** @throws UnreadableError for content that is no whole snapshot. */
export async function checkContent(content: Content): Promise<void> {
  const check = new SnapshotCheck()
  await eachChunk(content, (chunk) => check.push(chunk))
  check.end()
}

/** @throws UnreadableError for content that is larger than it states, or is no gzip. */
export async function eachChunk(
  { open, sizeBytes }: Content,
  use: (chunk: Buffer) => void | Promise<void>,
): Promise<void> {
  let read = 0
  try {
    for await (const chunk of open() as AsyncIterable<Buffer>) {
      read += chunk.length
      if (read > sizeBytes * SLACK) throw new UnreadableError('holds more than the size that it states')
      await use(chunk)
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code?.startsWith('Z_') === true)
      throw new UnreadableError('is damaged: its gzip data is cut or wrong')
    throw error
  }
}
