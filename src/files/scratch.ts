import { randomBytes } from 'node:crypto'
import { closeSync, fstatSync, openSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { within } from './directory'
import { CREATE_NEW } from './disk'
import {
  ignoringErrors,
  type MarkedFile,
  markOf,
  reachThrough,
  refuseBorrowedUser,
  refuseOpenToOthers,
} from './partial'

/** A file for content that must not be found on the disk: it has no name, and ends with the process at the latest. */
export interface Scratch {
  readonly fd: number
  /** For a writer that accepts only a path, on any thread of this process. `undefined` without /proc. */
  readonly target: MarkedFile | undefined
  /** Gives its space back. Idempotent. */
  close(): void
}

/**
 * Opens a file of mode 0600 in a directory and takes its name away before anything is written. Where an open file keeps its name, as
 * on Windows, the name goes with the close.
 *
 * The checks are those of an artefact, and made anew: its directory can be another one by now, and whoever opens the file before
 * its name is taken away can read all that is written afterwards.
 *
 * @throws The file system's error, or when another user could open the file or has given it another name.
 */
export function openScratch(directory: string): Scratch {
  const name = `.${randomBytes(8).toString('hex')}.scratch`
  refuseBorrowedUser()
  const fd = within(directory, (place) => {
    const created = openSync(join(place, name), CREATE_NEW, 0o600)
    ignoringErrors(() => unlinkSync(join(place, name)))
    try {
      refuseOpenToOthers(directory, markOf(created).mode)
      refuseToKeepAName(created)
    } catch (error) {
      closeSync(created)
      throw error
    }
    return created
  })
  const file = reachThrough(fd)
  let isOpen = true
  return {
    fd,
    target: file === undefined ? undefined : { file, mark: markOf(fd), isOpen: true },
    close: () => {
      if (!isOpen) return
      isOpen = false
      closeSync(fd)
      if (process.platform === 'win32') ignoringErrors(() => unlinkSync(join(directory, name)))
    },
  }
}

/** @throws When the file still has a name after `unlink`: a user who may rename in the directory has moved or linked it before. */
function refuseToKeepAName(fd: number): void {
  if (process.platform === 'win32') return
  const { nlink } = fstatSync(fd)
  if (nlink !== 0) throw new Error('the scratch file has a name that another user gave it')
}
