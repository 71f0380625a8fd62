import * as fs from 'node:fs'
import { operate } from './step'
import type { Steps } from './step'

type Done<T> = (error: NodeJS.ErrnoException | null, result: T) => void

/** Creates and opens for reading and writing; whatever stands at the path already, a symlink included, refuses it. */
export const CREATE_NEW = fs.constants.O_CREAT | fs.constants.O_EXCL | fs.constants.O_RDWR | noFollow()

/** Opens what is there for reading and writing, but never through a symlink. */
export const OPEN_EXISTING = fs.constants.O_RDWR | noFollow()

/** Opens for reading, never through a symlink, and without waiting for the other end of a FIFO. */
export const OPEN_TO_READ = fs.constants.O_RDONLY | noFollow() | (fs.constants.O_NONBLOCK ?? 0)

export function open(path: string, flags: number, mode?: number): Steps<number> {
  return operate({
    sync: () => fs.openSync(path, flags, mode),
    async: () => promised<number>((done) => fs.open(path, flags, mode, done)),
  })
}

/**
 * Closes a descriptor, except at exit: an operation of it may still wait in the thread pool, be it this one, and would then
 * reach whatever file the application's own 'exit' handler opens under that number. The process closes it soon enough.
 */
export function close(fd: number): Steps<void> {
  return operate<void>({
    sync: () => fs.closeSync(fd),
    async: () => promised((done: Done<void>) => fs.close(fd, done as fs.NoParamCallback)),
    atExit: () => undefined,
  })
}

export function fstat(fd: number): Steps<fs.BigIntStats> {
  return operate({
    sync: () => fs.fstatSync(fd, { bigint: true }),
    async: () => promised<fs.BigIntStats>((done) => fs.fstat(fd, { bigint: true }, done)),
  })
}

export function lstat(path: string): Steps<fs.BigIntStats> {
  return operate({
    sync: () => fs.lstatSync(path, { bigint: true }),
    async: () => promised<fs.BigIntStats>((done) => fs.lstat(path, { bigint: true }, done)),
  })
}

export function fchmod(fd: number, mode: number): Steps<void> {
  return operate<void>({
    sync: () => fs.fchmodSync(fd, mode),
    async: () => promised((done: Done<void>) => fs.fchmod(fd, mode, done as fs.NoParamCallback)),
  })
}

export function truncate(fd: number, lengthBytes: number): Steps<void> {
  return operate<void>({
    sync: () => fs.ftruncateSync(fd, lengthBytes),
    async: () => promised((done: Done<void>) => fs.ftruncate(fd, lengthBytes, done as fs.NoParamCallback)),
  })
}

/** Brings a file to the disk. Under `--permission` Node refuses fsync altogether; then the file is whole without it. */
export function* fsync(fd: number): Steps<void> {
  try {
    yield* operate<void>({
      sync: () => fs.fsyncSync(fd),
      async: () => promised((done: Done<void>) => fs.fsync(fd, done as fs.NoParamCallback)),
    })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_ACCESS_DENIED') throw error
  }
}

export function link(from: string, to: string): Steps<void> {
  return operate<void>({
    sync: () => fs.linkSync(from, to),
    async: () => promised((done: Done<void>) => fs.link(from, to, done as fs.NoParamCallback)),
  })
}

export function rename(from: string, to: string): Steps<void> {
  return operate<void>({
    sync: () => fs.renameSync(from, to),
    async: () => promised((done: Done<void>) => fs.rename(from, to, done as fs.NoParamCallback)),
  })
}

export function unlink(path: string): Steps<void> {
  return operate<void>({
    sync: () => fs.unlinkSync(path),
    async: () => promised((done: Done<void>) => fs.unlink(path, done as fs.NoParamCallback)),
  })
}

/** Reads a whole range. What ends before its time comes back shorter. */
export function* read(fd: number, position: number, lengthBytes: number): Steps<Uint8Array> {
  const buffer = Buffer.allocUnsafe(lengthBytes)
  let readBytes = 0
  while (readBytes < lengthBytes) {
    const count = yield* readOnce(fd, buffer, readBytes, position + readBytes)
    if (count === 0) break
    readBytes += count
  }
  return buffer.subarray(0, readBytes)
}

/** Writes a whole chunk: a disk that is nearly full takes a part of it first, and says why only when asked again. */
export function* write(fd: number, bytes: Uint8Array, position: number): Steps<void> {
  let writtenBytes = 0
  while (writtenBytes < bytes.length) {
    const count = yield* writeOnce(fd, bytes, writtenBytes, position + writtenBytes)
    if (count === 0) throw new Error(`the disk took ${writtenBytes} of ${bytes.length} bytes, then none`)
    writtenBytes += count
  }
}

/** Makes a new or changed name in a directory last. Not every platform can, and the name is there without it. */
export function* syncDirectory(path: string): Steps<void> {
  try {
    const fd = yield* open(path, fs.constants.O_RDONLY)
    try {
      yield* fsync(fd)
    } finally {
      yield* close(fd)
    }
  } catch {
    // Windows and some network file systems refuse to open or to sync a directory.
  }
}

function readOnce(fd: number, buffer: Uint8Array, offset: number, position: number): Steps<number> {
  const lengthBytes = buffer.length - offset
  return operate({
    sync: () => fs.readSync(fd, buffer, offset, lengthBytes, position),
    async: () => promised<number>((done) => fs.read(fd, buffer, offset, lengthBytes, position, done)),
  })
}

function writeOnce(fd: number, bytes: Uint8Array, offset: number, position: number): Steps<number> {
  const lengthBytes = bytes.length - offset
  return operate({
    sync: () => fs.writeSync(fd, bytes, offset, lengthBytes, position),
    async: () => promised<number>((done) => fs.write(fd, bytes, offset, lengthBytes, position, done)),
  })
}

function promised<T>(start: (done: Done<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, result) => {
      if (error === null) resolve(result)
      else reject(error)
    })
  })
}

function noFollow(): number {
  // Windows has no such flag and hardly any symlinks.
  return fs.constants.O_NOFOLLOW ?? 0
}
