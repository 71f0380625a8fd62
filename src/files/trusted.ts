import { closeSync, fstatSync, lstatSync, openSync, readlinkSync } from 'node:fs'
import { basename, dirname, isAbsolute, join } from 'node:path'
import { within } from './directory'
import { OPEN_TO_READ, read } from './disk'
import { whyExchangeable, whyOpen } from './owners'

/** Maximum number of symbolic links that are followed, one after the other, from the path to the file. */
const MAX_LINKS = 40

/**
 * Reads a regular file that only this user and root can write to, as text. The check and the reading use one file descriptor, so
 * the file cannot be replaced in between. A symbolic link that another user owns or can replace is not followed.
 *
 * @param path - An absolute path.
 * @throws The file system's error, or an error that says why the file is not read.
 */
export function readTrusted(path: string, mostBytes: number): string {
  let at = path
  for (let links = 0; links <= MAX_LINKS; links += 1) {
    const next = within(dirname(at), (place) => readOrFollow(join(place, basename(at)), mostBytes))
    if ('text' in next) return next.text
    // `join` is not used: it would drop `link/..`, although the kernel resolves `..` from the target of the link.
    at = isAbsolute(next.target) ? next.target : `${dirname(at)}/${next.target}`
  }
  throw new Error(`its path leads through more than ${MAX_LINKS} symbolic links`)
}

function readOrFollow(path: string, mostBytes: number): { text: string } | { target: string } {
  const link = lstatSync(path)
  if (link.isSymbolicLink()) {
    const target = readlinkSync(path)
    // Check the inode again: the link that was read must be the one that was checked.
    if (whyOpen(path, link) !== undefined || lstatSync(path).ino !== link.ino)
      throw new Error('it is a symbolic link of another user')
    const why = whyExchangeable(dirname(path))
    if (why !== undefined)
      throw new Error(`it is a symbolic link that other users can replace: its directory ${why}`)
    return { target }
  }
  const fd = openSync(path, OPEN_TO_READ)
  try {
    const stats = fstatSync(fd)
    if (!stats.isFile()) throw new Error('it is no regular file')
    const why = whyOpen(path, stats)
    if (why !== undefined)
      throw new Error(
        `it ${why}; it must belong to root or the user of the process, and only they may write to it`,
      )
    if (stats.size > mostBytes) throw new Error(`it is larger than ${mostBytes} bytes`)
    return { text: read(fd, 0, stats.size).toString('utf8') }
  } finally {
    closeSync(fd)
  }
}
