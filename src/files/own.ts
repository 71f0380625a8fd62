import { closeSync, fstatSync, openSync } from 'node:fs'
import { OPEN_TO_READ, read } from './disk'
import { isOwnAlone, MAX_SIDECAR_BYTES } from './sidecar'

/**
 * Reads a file of this user as text. Returns `undefined` if it cannot be read, has more than `mostBytes` bytes, is no regular
 * file, or may have been prepared by another user.
 */
export function readOwn(path: string, mostBytes = MAX_SIDECAR_BYTES): string | undefined {
  const fd = openOwn(path)
  if (fd === undefined) return undefined
  try {
    const { size } = fstatSync(fd)
    return size <= mostBytes ? read(fd, 0, size).toString('utf8') : undefined
  } catch {
    return undefined
  } finally {
    closeSync(fd)
  }
}

/** Opens a file for reading. Returns `undefined` if it is missing or no regular file, or if another user may have prepared it. */
export function openOwn(path: string): number | undefined {
  let fd: number | undefined
  try {
    fd = openSync(path, OPEN_TO_READ)
    if (isOwnAlone(path, fstatSync(fd))) return fd
  } catch {
    // The file is missing, unreadable or a symbolic link.
  }
  if (fd !== undefined) closeSync(fd)
  return undefined
}
