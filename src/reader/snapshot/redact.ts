import { closeSync, createWriteStream, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { openScratch } from '../../files/scratch'
import { redactSnapshot } from '../../redact/snapshot'
import { named, open } from '../answer'
import type { Input } from '../input'
import { isSameFile, openRegular, streamOf } from '../input'
import { UnreadableError } from '../json'
import { formatBytes } from '../units'
import { SnapshotCheck } from './check'

/** The snapshot that was written. */
export interface Redacted {
  readonly file: string
  readonly sizeBytes: number
}

/**
 * Writes a heap snapshot again without the contents of strings. The original stays as it is.
 *
 * @param out - Where it goes. @default `<name>.redacted.heapsnapshot` beside the original
 * @throws UnreadableError when it is no whole snapshot, or the new file cannot be written.
 */
export async function redactFile(path: string, out = redactedName(path)): Promise<Redacted> {
  const input = open(path)
  if (input.kind !== 'snapshot')
    throw new UnreadableError(`${path} is no heap snapshot: only those hold contents`)
  if (isSameFile(path, out)) throw new UnreadableError(`${out} is the snapshot itself: name another file`)
  const directory = dirname(resolve(out))
  let contentBytes: number
  try {
    contentBytes = await check(input)
  } catch (error) {
    throw named(path, error)
  }
  const partial = `${out}.${process.pid}.partial`
  try {
    await expectRoom(directory, input.isCompressed ? 2 * contentBytes : contentBytes)
    const sizeBytes = input.isCompressed
      ? await withContent(input, directory, (fd) => write(fd, partial))
      : withFile(openRegular(path).fd, (fd) => write(fd, partial))
    renameSync(partial, out)
    return { file: out, sizeBytes }
  } catch (error) {
    rmSync(partial, { force: true })
    const why = error instanceof Error ? error.message : String(error)
    throw new UnreadableError(`${out} cannot be written: ${why}`)
  }
}

/** @returns Size of the content, bytes; a gzip file of a few MB can hold more than the disk. */
async function check(input: Input): Promise<number> {
  const checking = new SnapshotCheck()
  let contentBytes = 0
  for await (const chunk of streamOf(input) as AsyncIterable<Buffer>) {
    checking.push(chunk)
    contentBytes += chunk.length
  }
  checking.end()
  return contentBytes
}

/** Before anything is written: a service may need the same disk. */
async function expectRoom(directory: string, needBytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(directory)
  const freeBytes = bavail * bsize
  if (needBytes <= freeBytes) return
  throw new Error(`it may need ${formatBytes(needBytes)}, ${formatBytes(freeBytes)} are free`)
}

/** The content of a compressed file, in a file without a name. */
async function withContent(input: Input, directory: string, use: (fd: number) => number): Promise<number> {
  const scratch = openScratch(directory)
  try {
    await pipeline(streamOf(input), createWriteStream('', { fd: scratch.fd, autoClose: false }))
    return use(scratch.fd)
  } finally {
    scratch.close()
  }
}

function write(from: number, partial: string): number {
  return withFile(openSync(partial, 'wx', 0o600), (to) => {
    const sizeBytes = redactSnapshot(from, (chunk) => writeFileSync(to, chunk))
    fsyncSync(to)
    return sizeBytes
  })
}

function withFile(fd: number, use: (fd: number) => number): number {
  try {
    return use(fd)
  } finally {
    closeSync(fd)
  }
}

function redactedName(path: string): string {
  return `${path.replace(/\.gz$/, '').replace(/\.heapsnapshot$/, '')}.redacted.heapsnapshot`
}
