import { fstatSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { pause } from '../../base/time'
import { read } from '../../files/disk'
import type { ArtefactExtension } from '../../files/names'
import { redactedChunks } from '../../redact/snapshot'
import { withoutUrlContentsOf } from '../../redact/urls'

/**
 * Level of gzip. For 100 MB of a heap snapshot, level 1 takes 0.35 s of CPU and yields 13 MB, level 6 takes 1.2 s and yields 12
 * MB. Compressing each MiB on its own, as a gzip member, yields no more bytes in total than compressing the file as a whole.
 */
export const GZIP_LEVEL = 1
/** Number of bytes that are read and compressed in one step on a thread of this library. */
export const STEP_BYTES = 1024 * 1024
/** Number of bytes that are read and compressed in one step on the main thread, whose event loop each step blocks. */
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
 * Reads a dump file in chunks and redacts it: in a heap snapshot, the contents of strings, numbers and regular expressions; in a
 * profile, queries and credentials of URLs and the content of `data:` URLs. A heap snapshot is read four times; nothing is
 * written to disk.
 *
 * @throws The file system's error, or an error when the file has become shorter or its content is incomplete.
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
