import * as fs from 'node:fs'
import { isMainThread } from 'node:worker_threads'

// Windows has no such flags, and hardly any symlinks.
const NO_FOLLOW = fs.constants.O_NOFOLLOW ?? 0
const NO_WAIT = fs.constants.O_NONBLOCK ?? 0
const DIRECTORY_ONLY = fs.constants.O_DIRECTORY ?? 0

/** Creates and opens for reading and writing. Fails when anything, a symlink included, stands at the path. */
export const CREATE_NEW = fs.constants.O_CREAT | fs.constants.O_EXCL | fs.constants.O_RDWR | NO_FOLLOW

/** Opens an existing file for reading and writing. Follows no symlink and waits for no FIFO or device. */
export const OPEN_EXISTING = fs.constants.O_RDWR | NO_FOLLOW | NO_WAIT

/** The same through a link of /proc, which stands for an open file. */
export const OPEN_THROUGH = fs.constants.O_RDWR | NO_WAIT

/** Opens an existing file for reading. Follows no symlink and waits for no FIFO or device. */
export const OPEN_TO_READ = fs.constants.O_RDONLY | NO_FOLLOW | NO_WAIT

/** Reads a whole range. A file that ends earlier gives fewer bytes. */
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

/** Writes a whole chunk. A disk that is nearly full first accepts a part, and fails only at the next write. */
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
 * Makes a file durable. The one slow call here, so the main thread awaits it. A thread of this library waits for it in the call: the
 * thread pool may be what the application has filled, and would take the call only when the incident is over.
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

/** {@link fsync} within the call. */
export function fsyncNow(fd: number): void {
  try {
    fs.fsyncSync(fd)
  } catch (error) {
    if (!isForbidden(error as NodeJS.ErrnoException)) throw error
  }
}

/** Opens a directory, to make a new or changed entry in it durable. Nothing else that stands there: a FIFO would wait for a writer. */
export function openDirectory(path: string): number {
  return fs.openSync(path, fs.constants.O_RDONLY | DIRECTORY_ONLY)
}

/** Under `--permission` Node refuses fsync altogether; the file is whole without it. */
function isForbidden({ code }: NodeJS.ErrnoException): boolean {
  return code === 'ERR_ACCESS_DENIED'
}
