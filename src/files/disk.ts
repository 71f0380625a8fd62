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

/** Identifies a file independently of its name. */
export interface FileMark {
  /** Device and inode number, as `<device>:<inode>`. */
  readonly inode: string
  /** Permission bits. After creation they are 0600, on every file system that has permissions. */
  readonly mode: number
}

/** A file to write to: its path, and the mark by which a writer checks that the path still leads to this file. */
export interface MarkedFile {
  readonly file: string
  readonly mark: FileMark
  /**
   * `true` for a path `/proc/self/fd/<n>`, a link that must be followed; absent for other paths. The mark is checked for both: by
   * now another file may have the descriptor's number.
   */
  readonly isOpen?: true
}

const MODE_BITS = 0o777n

/** The mark of an open file. */
export function markOf(fd: number): FileMark {
  return asMark(fs.fstatSync(fd, { bigint: true }))
}

/** Mark and size of the file with this path: of a symbolic link, not of what it leads to. `undefined` if there is none. */
export function markAt(path: string): (FileMark & { readonly sizeBytes: number }) | undefined {
  const stats = fs.lstatSync(path, { bigint: true, throwIfNoEntry: false })
  return stats && { ...asMark(stats), sizeBytes: Number(stats.size) }
}

/** The mark of the file with this path, as {@link markAt}. @throws If there is none. */
export function markOfName(path: string): FileMark {
  return asMark(fs.lstatSync(path, { bigint: true }))
}

/** The mark of the file that a path leads to, through symbolic links. @throws If it leads to none. */
export function markBehind(path: string): FileMark {
  return asMark(fs.statSync(path, { bigint: true }))
}

function asMark({ dev, ino, mode }: fs.BigIntStats): FileMark {
  return { inode: `${dev}:${ino}`, mode: Number(mode & MODE_BITS) }
}

/**
 * Opens a file by its path for writing, and checks its inode.
 *
 * @throws When another file has the path: in a shared directory other users can rename files.
 */
export function openMarked({ file, mark, isOpen }: MarkedFile): number {
  const fd = fs.openSync(file, isOpen ? OPEN_THROUGH : OPEN_EXISTING)
  try {
    if (markOf(fd).inode !== mark.inode) throw replaced(file)
    return fd
  } catch (error) {
    fs.closeSync(fd)
    throw error
  }
}

/** Whether a path is a name of the file with this mark. */
export function bears(path: string, mark: FileMark): boolean {
  return markAt(path)?.inode === mark.inode
}

/** Throws what link(2) would throw if a file has this path. */
export function refuseExisting(path: string): void {
  if (markAt(path) !== undefined)
    throw Object.assign(new Error(`EEXIST: ${path} exists already`), { code: 'EEXIST', path })
}

/** Removes a name if it still is one of the file with this mark. Never throws. */
export function removeMarked(path: string, mark: FileMark): void {
  ignoringErrors(() => {
    if (bears(path, mark)) fs.unlinkSync(path)
  })
}

/** Runs work that may fail, such as cleanup, and ignores its errors. A file that is not removed is found later by its sidecar. */
export function ignoringErrors(work: () => void): void {
  try {
    work()
  } catch {
    return
  }
}

/** The error for a file that has taken the path of another one. */
export function replaced(path: string): Error {
  return new Error(`${path} is no longer the file that was created there`)
}

/** Calls `use` with one name after the other until the file system accepts one. @throws If it refuses all: the last error. */
export function withFirstFree<T>(names: readonly string[], use: (name: string, at: number) => T): T {
  for (let at = 0; ; at++) {
    try {
      return use(names[at] ?? '', at)
    } catch (error) {
      if (!isNameRefused(error) || at + 1 >= names.length) throw error
    }
  }
}
