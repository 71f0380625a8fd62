import type { Readable } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'
import { setImmediate as turn } from 'node:timers/promises'
import { UnreadableError } from '../json'
import { SnapshotCheck } from './check'
import type { Heap } from './toolkit'
import { buildHeap, createLoader } from './toolkit'

/** A snapshot larger than its stated size times this is refused: a gzip file can hold more than it states. */
const SLACK = 1.01

export interface Loading {
  /** Opens the content once more: it is read twice. */
  readonly open: () => Readable
  /** Size of the content that memory was reserved for, bytes. */
  readonly sizeBytes: number
  readonly onProgress: (text: string) => void
}

/**
 * Loads and analyses a heap snapshot.
 *
 * @throws UnreadableError for a file that is no whole snapshot.
 */
export async function loadHeap({ open, sizeBytes, onProgress }: Loading): Promise<Heap> {
  const check = new SnapshotCheck()
  await eachChunk(open(), sizeBytes, (chunk, share) => {
    onProgress(`Checking ${share} %`)
    check.push(chunk)
  })
  check.end()

  const loader = createLoader(onProgress)
  const decoder = new StringDecoder('utf8')
  // Rejections are handled below, when the whole file has been given to the loader.
  loader.parsingComplete.catch(() => undefined)
  await eachChunk(open(), sizeBytes, async (chunk) => {
    loader.write(decoder.write(chunk))
    // The loader takes each chunk in a later turn of the loop; without the wait it would hold the whole file.
    await turn()
  })
  loader.close()
  await loader.parsingComplete
  return buildHeap(loader)
}

async function eachChunk(
  stream: Readable,
  sizeBytes: number,
  use: (chunk: Buffer, share: number) => void | Promise<void>,
): Promise<void> {
  let read = 0
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      read += chunk.length
      if (read > sizeBytes * SLACK) throw new UnreadableError('holds more than the size that it states')
      await use(chunk, Math.min(100, Math.round((read / sizeBytes) * 100)))
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code?.startsWith('Z_') === true)
      throw new UnreadableError('is damaged: its gzip data is cut or wrong')
    throw error
  }
}
