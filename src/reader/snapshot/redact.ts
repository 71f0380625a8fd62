import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { type HeldDirectory, holdDirectory } from '../../files/directory'
import { write as writeAt } from '../../files/disk'
import { openScratchIn } from '../../files/scratch'
import { redactSnapshot } from '../../redact/snapshot'
import { named, naming } from '../answer'
import type { RegularFile } from '../input'
import { inspect, isSameFile, openInput, openRegular, streamFrom } from '../input'
import { reasonOf, UnreadableError } from '../json'
import { formatBytes } from '../units'
import { SnapshotCheck } from './check'

/** The redacted snapshot that was written. */
export interface Redacted {
  readonly file: string
  readonly sizeBytes: number
}

/**
 * Writes a copy of a heap snapshot without the contents of strings, regular expressions and numbers, and without keys that are
 * data. The original stays as it is.
 *
 * @param out - Path of the new file. @default `<name>.redacted.heapsnapshot` beside the original
 * @throws UnreadableError when the file is no whole snapshot, or the new file cannot be written.
 */
export async function redactFile(path: string, out = redactedName(path)): Promise<Redacted> {
  const held = holdFor(path, out)
  try {
    const file = naming(path, () => openRegular(path))
    try {
      return await redactOpened(path, file, out, held.place)
    } finally {
      closeSync(file.fd)
    }
  } finally {
    held.close()
  }
}

/**
 * Opens the directory of the new file before the snapshot is read, and keeps it open. Otherwise, another user could put a link in
 * the place of the directory meanwhile, and so have files of the caller overwritten where the link leads.
 */
function holdFor(path: string, out: string): HeldDirectory {
  try {
    return holdDirectory(dirname(resolve(out)))
  } catch (error) {
    // If the snapshot cannot be read either, throws that error instead, because it is the more helpful one.
    naming(path, () => openInput(path))
    throw unwritable(out, error)
  }
}

/**
 * Checks and redacts a snapshot through one file descriptor, because another process may replace the file at this path.
 *
 * @param place - Path through a file descriptor to the directory of the new file, which is kept open.
 */
async function redactOpened(
  path: string,
  opened: RegularFile,
  out: string,
  place: string,
): Promise<Redacted> {
  const input = naming(path, () => inspect(path, opened))
  if (input.kind !== 'snapshot')
    throw new UnreadableError(`${path} is no heap snapshot: only heap snapshots can be redacted`)
  const target = join(place, basename(resolve(out)))
  if (isSameFile(path, target))
    throw new UnreadableError(`${out} is the snapshot itself and is not overwritten: name another file`)
  let contentBytes: number
  try {
    contentBytes = await check(opened, input.isCompressed)
  } catch (error) {
    throw named(path, error)
  }
  try {
    const scratchBytes = input.isCompressed ? contentBytes : 0
    const freeBytes = await expectRoom(place, scratchBytes + contentBytes)
    // The new file can be larger than the old one, because a placeholder is longer than a short string.
    const mostBytes = Math.max(contentBytes, (freeBytes - scratchBytes) / 2)
    const sizeBytes = input.isCompressed
      ? await withContent(opened, contentBytes, place, (fd) => write(fd, contentBytes, target, mostBytes))
      : write(opened.fd, contentBytes, target, mostBytes)
    return { file: out, sizeBytes }
  } catch (error) {
    throw unwritable(out, error, place)
  }
}

/** @param place - Path through a file descriptor to the directory. The error's text has the directory's own path instead. */
function unwritable(out: string, error: unknown, place?: string): UnreadableError {
  const reason =
    place === undefined ? reasonOf(error) : reasonOf(error).replaceAll(place, dirname(resolve(out)))
  return new UnreadableError(`${out} cannot be written: ${reason}`)
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
async function expectRoom(place: string, needBytes: number): Promise<number> {
  const { bavail, bsize } = await statfs(place)
  const freeBytes = bavail * bsize
  if (needBytes <= freeBytes) return freeBytes
  throw new Error(
    `it may need ${formatBytes(needBytes)} of disk space, but only ${formatBytes(freeBytes)} are free`,
  )
}

/**
 * Decompresses a snapshot into a temporary file, which has no name except on Windows, and passes its descriptor to `use`. Throws if
 * there is more content than when it was checked.
 */
async function withContent(
  from: RegularFile,
  contentBytes: number,
  place: string,
  use: (fd: number) => number,
): Promise<number> {
  const scratch = openScratchIn(place)
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

/**
 * Writes the redacted snapshot to a file with a temporary name, and renames this file when it is complete.
 *
 * @param contentBytes - Size of the snapshot when it was checked. No more is read.
 * @param mostBytes - Maximum size of the new file, bytes.
 * @returns Size of the new file, bytes.
 */
function write(from: number, contentBytes: number, target: string, mostBytes: number): number {
  const partial = `${target}.${process.pid}.partial`
  const to = openSync(partial, 'wx', 0o600)
  try {
    let written = 0
    const writeChunk = (chunk: Buffer): void => {
      written += chunk.length
      if (written > mostBytes)
        throw new Error(
          `the redacted snapshot is larger than ${formatBytes(mostBytes)}, the most disk space that it may use`,
        )
      writeFileSync(to, chunk)
    }
    const sizeBytes = redactSnapshot(from, writeChunk, contentBytes)
    fsyncSync(to)
    renameSync(partial, target)
    return sizeBytes
  } catch (error) {
    rmSync(partial, { force: true })
    throw error
  } finally {
    closeSync(to)
  }
}

function redactedName(path: string): string {
  return `${path.replace(/\.gz$/, '').replace(/\.heapsnapshot$/, '')}.redacted.heapsnapshot`
}
