import { closeSync, fstatSync, lstatSync, openSync, readlinkSync, type Stats } from 'node:fs'
import { basename, dirname, isAbsolute, join } from 'node:path'
import { within } from './directory'
import { OPEN_TO_READ, read } from './disk'
import { whyExchangeable, whyOpen } from './owners'

/** As many symbolic links as are followed where the name of the file leads, one after the other. */
const MAX_LINKS = 40

/**
 * The text of a regular file that only this user and root can write. It is opened once, and judged by its descriptor. A symbolic link of
 * another user is not followed.
 *
 * @param path - An absolute path.
 * @throws The file system's error, or one that tells why the file is not read; it ends with what is expected.
 */
export function readTrusted(path: string, mostBytes: number): string {
  let at = path
  for (let links = 0; links <= MAX_LINKS; links += 1) {
    const next = within(dirname(at), (place) => readOrFollow(join(place, basename(at)), mostBytes))
    if ('text' in next) return next.text
    // Not joined: `..` counts from where the directory before it leads.
    at = isAbsolute(next.target) ? next.target : `${dirname(at)}/${next.target}`
  }
  throw new Error(`it leads over more than ${MAX_LINKS} symbolic links`)
}

function readOrFollow(path: string, mostBytes: number): { text: string } | { target: string } {
  const link = lstatSync(path)
  if (link.isSymbolicLink()) {
    const target = readlinkSync(path)
    // Looked at again: the link that was read must be the one that was checked.
    if (whyNotOurs(link) !== undefined || lstatSync(path).ino !== link.ino)
      throw new Error('it is a symbolic link of another user')
    const why = whyExchangeable(dirname(path))
    if (why !== undefined)
      throw new Error(`it is a symbolic link that others can exchange: its directory ${why}`)
    return { target }
  }
  const fd = openSync(path, OPEN_TO_READ)
  try {
    const stats = fstatSync(fd)
    if (!stats.isFile()) throw new Error('it is no regular file')
    const why = whyNotOurs(stats)
    if (why !== undefined)
      throw new Error(
        `it ${why}; it must belong to root or the user of the process, and only they may write it`,
      )
    if (stats.size > mostBytes) throw new Error(`it has more than ${mostBytes} bytes`)
    return { text: read(fd, 0, stats.size).toString('utf8') }
  } finally {
    closeSync(fd)
  }
}

function whyNotOurs(stats: Stats): string | undefined {
  const uid = process.geteuid?.()
  return uid === undefined ? undefined : whyOpen(stats, uid)
}
