import * as fs from 'node:fs'
import { isMainThread } from 'node:worker_threads'

// Flags of open(2). Windows does not have them, so they are 0 there; symbolic links are rare on Windows.
const NO_FOLLOW = fs.constants.O_NOFOLLOW ?? 0
const NO_WAIT = fs.constants.O_NONBLOCK ?? 0
const DIRECTORY_ONLY = fs.constants.O_DIRECTORY ?? 0

/** Flags of open(2): create a file for reading and writing; fail if the path exists, even as a symbolic link. */
export const CREATE_NEW = fs.constants.O_CREAT | fs.constants.O_EXCL | fs.constants.O_RDWR | NO_FOLLOW

/** Flags of open(2): open an existing file for reading and writing; follow no symbolic link, wait for no FIFO or device. */
export const OPEN_EXISTING = fs.constants.O_RDWR | NO_FOLLOW | NO_WAIT

/** Flags of open(2): open the file behind `/proc/self/fd/<n>`, a link that must be followed, for reading and writing. */
export const OPEN_THROUGH = fs.constants.O_RDWR | NO_WAIT

/** Flags of open(2): open an existing file for reading; follow no symbolic link, wait for no FIFO or device. */
export const OPEN_TO_READ = fs.constants.O_RDONLY | NO_FOLLOW | NO_WAIT

/** System calls that give a file a name. */
const NAMING: readonly unknown[] = ['open', 'link', 'rename']

/**
 * Whether there was no space for a name, so that another name may work. ext4 stores each name in the part of the directory that
 * its hash value stands for. Another user can fill such parts with names, although the disk has space left. An ENOSPC of a write
 * does not count: the disk is full.
 */
export function isOutOfSpace(error: unknown): boolean {
  const { code, syscall } = error as NodeJS.ErrnoException
  return code === 'ENOSPC' && NAMING.includes(syscall)
}

/** Whether a name was refused, so that another name may work: another file has it, or there is no space for it. */
export function isNameRefused(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EEXIST' || isOutOfSpace(error)
}

/** How many further names are tried for a file if the file system refuses one after the other. */
export const MORE_NAMES = 30

/**
 * Creates a file of mode 0600 under the first of several names that the file system accepts.
 *
 * @param nameAnew - Returns another path at each call.
 * @param isWorthAnother - Whether another name is tried after this error.
 * @throws The last error, if no name is accepted.
 */
export function createUnderAnyName(
  nameAnew: () => string,
  isWorthAnother = isNameRefused,
): { readonly path: string; readonly fd: number } {
  for (let left = MORE_NAMES; ; left--) {
    const path = nameAnew()
    try {
      return { path, fd: fs.openSync(path, CREATE_NEW, 0o600) }
    } catch (error) {
      if (left === 0 || !isWorthAnother(error)) throw error
    }
  }
}

/** Reads `lengthBytes` from a position of a file; fewer only if the file ends earlier. */
export function read(fd: number, position: number, lengthBytes: number): Buffer {
  const buffer = Buffer.allocUnsafe(lengthBytes)
  let readBytes = 0
  while (readBytes < lengthBytes) {
    const count = fs.readSync(fd, buffer, readBytes, lengthBytes - readBytes, position + readBytes)
    if (count === 0) break
    readBytes += count
  }
  return buffer.subarray(0, readBytes)
}

/** Writes all bytes of a chunk at a position, in several calls if needed: a nearly full disk accepts a part, then fails. */
export function write(fd: number, bytes: Uint8Array, position: number): void {
  let writtenBytes = 0
  while (writtenBytes < bytes.length) {
    const leftBytes = bytes.length - writtenBytes
    const count = fs.writeSync(fd, bytes, writtenBytes, leftBytes, position + writtenBytes)
    if (count === 0) throw new Error(`the disk accepted ${writtenBytes} of ${bytes.length} bytes, then none`)
    writtenBytes += count
  }
}

/**
 * Syncs a file to disk. Asynchronous on the main thread, because fsync is slow. Synchronous on a thread of this library:
 * libuv's thread pool may be full of the application's work, and would run the fsync only after that work.
 */
export function fsync(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    if (!isMainThread) {
      fsyncNow(fd)
      resolve()
      return
    }
    const done = (error: NodeJS.ErrnoException | null): void => {
      if (error && !isForbidden(error)) reject(error)
      else resolve()
    }
    try {
      fs.fsync(fd, done)
    } catch (error) {
      done(error as NodeJS.ErrnoException)
    }
  })
}

/** Syncs a file to disk before it returns. Ignores the error with which Node's permission model refuses fsync. */
export function fsyncNow(fd: number): void {
  try {
    fs.fsyncSync(fd)
  } catch (error) {
    if (!isForbidden(error as NodeJS.ErrnoException)) throw error
  }
}

/** Opens a directory for {@link fsync}. Fails for any other kind of file: opening a FIFO would wait for a writer. */
export function openDirectory(path: string): number {
  return fs.openSync(path, fs.constants.O_RDONLY | DIRECTORY_ONLY)
}

/** Whether Node's permission model refused fsync. Callers ignore that error, because the file is complete without fsync. */
function isForbidden({ code }: NodeJS.ErrnoException): boolean {
  return code === 'ERR_ACCESS_DENIED'
}
