import { fstatSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { pause } from '../../base/time'
import { read } from '../../files/disk'
import type { ArtefactExtension } from '../../files/names'
import { redactedChunks } from '../../redact/snapshot'
import { withoutUrlContentsOf } from '../../redact/urls'

/**
 * Level of gzip. For 100 MB of a heap snapshot, level 1 takes 0.35 s of CPU and yields 13 MB, level 6 takes 1.2 s and yields 12
 * MB. Gzip members of 1 MiB each are in total no larger than one stream.
 */
export const GZIP_LEVEL = 1
/** Bytes that are read and compressed in one step, on a thread of this library and on the main thread. */
export const STEP_BYTES = 1024 * 1024
export const STEP_BYTES_ON_MAIN = 64 * 1024

/**
 * Reads a file in chunks, with synchronous calls: libuv's thread pool may be full of the application's work. The event loop runs
 * between two chunks.
 *
 * @throws The file system's error, or an error when the file has become shorter.
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
  if (position < size)
    throw new Error(`the file was shortened while it was read, from ${size} to ${position} bytes`)
}

/**
 * Reads a dump file in chunks, without the application's data that it contains. A heap snapshot is read four times; nothing is
 * written to disk.
 *
 * @throws What {@link chunksOf} throws, or an error when a heap snapshot is incomplete.
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

/** Compresses each chunk to a gzip member. The members together are one gzip file. */
export async function* gzipped(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) yield gzipSync(chunk, { level: GZIP_LEVEL })
}
