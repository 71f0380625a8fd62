import { closeSync, fstatSync, openSync } from 'node:fs'
import { OPEN_TO_READ, read } from './disk'
import { isOwnAlone, MAX_SIDECAR_BYTES } from './sidecar'

/** The text of a small file of this user. */
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

/** A descriptor of a file of this user; `undefined` when it is not there, or is a link. */
export function openOwn(path: string): number | undefined {
  let fd: number | undefined
  try {
    fd = openSync(path, OPEN_TO_READ)
    if (isOwnAlone(fstatSync(fd))) return fd
  } catch {
    // It is not there, or it is a link.
  }
  if (fd !== undefined) closeSync(fd)
  return undefined
}
