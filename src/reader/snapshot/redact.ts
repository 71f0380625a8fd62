import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { write as writeAt } from '../../files/disk'
import { openScratch } from '../../files/scratch'
import { redactSnapshot } from '../../redact/snapshot'
import { named, naming } from '../answer'
import type { RegularFile } from '../input'
import { inspect, isSameFile, openRegular, streamFrom } from '../input'
import { reasonOf, UnreadableError } from '../json'
import { formatBytes } from '../units'
import { SnapshotCheck } from './check'

/** The redacted snapshot that was written. */
export interface Redacted {
  readonly file: string
  readonly sizeBytes: number
}

/**
 * Writes a heap snapshot again without the contents of strings. The original stays as it is.
 *
 * @param out - Path of the new file. @default `<name>.redacted.heapsnapshot` beside the original
 * @throws UnreadableError when the file is no whole snapshot, or the new file cannot be written.
 */
export async function redactFile(path: string, out = redactedName(path)): Promise<Redacted> {
  const file = naming(path, () => openRegular(path))
  try {
    return await redactOpened(path, file, out)
  } finally {
    closeSync(file.fd)
  }
}

/** Checks and redacts a snapshot through one file descriptor, because another process may replace the file at this path. */
async function redactOpened(path: string, opened: RegularFile, out: string): Promise<Redacted> {
  const input = naming(path, () => inspect(path, opened))
  if (input.kind !== 'snapshot')
    throw new UnreadableError(`${path} is no heap snapshot: only heap snapshots can be redacted`)
  if (isSameFile(path, out))
    throw new UnreadableError(`${out} is the snapshot itself and is not overwritten: name another file`)
  const directory = dirname(resolve(out))
  let contentBytes: number
  try {
    contentBytes = await check(opened, input.isCompressed)
  } catch (error) {
    throw named(path, error)
  }
  const partial = `${out}.${process.pid}.partial`
  try {
    const scratchBytes = input.isCompressed ? contentBytes : 0
    const freeBytes = await expectRoom(directory, scratchBytes + contentBytes)
    // The new file can be larger than the old one, because a placeholder is longer than a short string.
    const mostBytes = Math.max(contentBytes, (freeBytes - scratchBytes) / 2)
    const sizeBytes = input.isCompressed
      ? await withContent(opened, contentBytes, directory, (fd) =>
          write(fd, contentBytes, partial, mostBytes),
        )
      : write(opened.fd, contentBytes, partial, mostBytes)
    renameSync(partial, out)
    return { file: out, sizeBytes }
  } catch (error) {
    rmSync(partial, { force: true })
    throw new UnreadableError(`${out} cannot be written: ${reasonOf(error)}`)
  }
}

/** Checks that a snapshot is whole. Returns its decompressed size, bytes: a small gzip file can hold more than the disk can. */
async function check(opened: RegularFile, isCompressed: boolean): Promise<number> {
  const checking = new SnapshotCheck()
  let contentBytes = 0
  for await (const chunk of streamFrom(opened, isCompressed) as AsyncIterable<Buffer>) {
    checking.push(chunk)
    contentBytes += chunk.length
  }
  checking.end()
  return contentBytes
}

/** Throws if the disk has less free space than needed: a service may use the same disk. Returns the free space, bytes. */
async function expectRoom(directory: string, needBytes: number): Promise<number> {
  const { bavail, bsize } = await statfs(directory)
  const freeBytes = bavail * bsize
  if (needBytes <= freeBytes) return freeBytes
  throw new Error(
    `it may need ${formatBytes(needBytes)} of disk space, but only ${formatBytes(freeBytes)} are free`,
  )
}

/** Decompresses a file into a temporary, nameless file, and calls `use` on it. Throws if the content grew since its check. */
async function withContent(
  from: RegularFile,
  contentBytes: number,
  directory: string,
  use: (fd: number) => number,
): Promise<number> {
  const scratch = openScratch(directory)
  try {
    let written = 0
    for await (const chunk of streamFrom(from, true) as AsyncIterable<Buffer>) {
      if (written + chunk.length > contentBytes) throw new Error('the snapshot grew while it was read')
      writeAt(scratch.fd, chunk, written)
      written += chunk.length
    }
    return use(scratch.fd)
  } finally {
    scratch.close()
  }
}

/** Reads no more than the bytes that were checked, and writes at most `mostBytes`. Returns the size of the new file, bytes. */
function write(from: number, contentBytes: number, partial: string, mostBytes: number): number {
  const to = openSync(partial, 'wx', 0o600)
  try {
    let written = 0
    const writeChunk = (chunk: Buffer): void => {
      written += chunk.length
      if (written > mostBytes)
        throw new Error(`it takes more than the ${formatBytes(mostBytes)} that it may have`)
      writeFileSync(to, chunk)
    }
    const sizeBytes = redactSnapshot(from, writeChunk, contentBytes)
    fsyncSync(to)
    return sizeBytes
  } finally {
    closeSync(to)
  }
}

function redactedName(path: string): string {
  return `${path.replace(/\.gz$/, '').replace(/\.heapsnapshot$/, '')}.redacted.heapsnapshot`
}
