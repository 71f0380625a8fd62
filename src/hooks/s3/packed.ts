import { fstatSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { pause } from '../../base/time'
import { read } from '../../files/disk'
import type { ArtefactExtension } from '../../files/names'
import { redactedChunks } from '../../redact/snapshot'
import { withoutUrlContentsOf } from '../../redact/urls'

/**
 * Level of gzip. For 100 MB of a heap snapshot level 1 takes 0.35 s of CPU and leaves 13 MB, level 6 takes 1.2 s and leaves 12 MB.
 * Members of 1 MiB are no larger together than one stream.
 */
export const GZIP_LEVEL = 1
/** Bytes that are read and compressed in one step on a thread of ours, and on the main thread. */
export const STEP_BYTES = 1024 * 1024
export const STEP_BYTES_ON_MAIN = 64 * 1024

/**
 * The content of a file, step by step. Read within the call, and not through libuv's pool, which may be what the application has
 * filled. Between two steps the event loop turns.
 *
 * @throws The file system's error, and when the file has become shorter.
 */
export async function* chunksOf(fd: number, stepBytes: number): AsyncGenerator<Buffer> {
  const { size } = fstatSync(fd)
  let position = 0
  while (position < size) {
    const bytes = read(fd, position, Math.min(stepBytes, size - position))
    if (bytes.length === 0) break
    position += bytes.length
    yield bytes
    await pause(0)
  }
  if (position < size) throw new Error(`the file has only ${position} of the ${size} bytes that it had`)
}

/**
 * The content of an artefact without what it holds of the application's data. A snapshot is read four times; nothing is written to
 * the disk.
 *
 * @throws What {@link chunksOf} throws, and for a snapshot that is not whole.
 */
export function redactedChunksOf(
  fd: number,
  extension: ArtefactExtension,
  stepBytes: number,
): AsyncGenerator<Buffer> {
  return extension === '.heapsnapshot' ? redactedSnapshot(fd) : withoutUrlContentsOf(chunksOf(fd, stepBytes))
}

async function* redactedSnapshot(fd: number): AsyncGenerator<Buffer> {
  for (const chunk of redactedChunks(fd)) {
    if (chunk.length > 0) yield chunk
    await pause(0)
  }
}

/** A gzip member for each chunk: together they are one gzip file. */
export async function* gzipped(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) yield gzipSync(chunk, { level: GZIP_LEVEL })
}
