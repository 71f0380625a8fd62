import { randomBytes } from 'node:crypto'
import { closeSync, fstatSync, openSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { within } from './directory'
import { CREATE_NEW } from './disk'
import { refuseBorrowedUser } from './owners'
import { ignoringErrors, type MarkedFile, markOf, reachThrough, refuseOpenToOthers } from './partial'

/** A temporary file for content that must not stay on disk. It has no name, so the kernel frees it when the process ends. */
export interface Scratch {
  readonly fd: number
  /** Path `/proc/self/fd/<n>` and inode, for code that accepts no file descriptor. `undefined` where /proc cannot be used. */
  readonly target: MarkedFile | undefined
  /** Closes the file, which frees its disk space. Idempotent. */
  close(): void
}

/**
 * Creates a file of mode 0600 in a directory and unlinks it before anything is written. On Windows, where an open file cannot
 * be unlinked, `close` unlinks it.
 *
 * The directory is checked again as for an artefact, because it may have been replaced: another user who opens the file before
 * the unlink could read everything that is written later.
 *
 * @throws The file system's error, or an error when another user could open the file or has given it another name.
 */
export function openScratch(directory: string): Scratch {
  return within(directory, (place) => openScratchIn(place, directory))
}

/**
 * Like {@link openScratch}, in a directory that is held open.
 *
 * @param place - The directory's path through its descriptor.
 * @param directory - Path by which the directory is checked.
 */
export function openScratchIn(place: string, directory = place): Scratch {
  const name = `.${randomBytes(8).toString('hex')}.scratch`
  refuseBorrowedUser()
  const fd = openSync(join(place, name), CREATE_NEW, 0o600)
  ignoringErrors(() => unlinkSync(join(place, name)))
  try {
    refuseOpenToOthers(directory, markOf(fd).mode)
    refuseToKeepAName(fd)
  } catch (error) {
    closeSync(fd)
    throw error
  }
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

/** @throws When the unlinked file still has a name: another user has renamed or linked it before it was unlinked. */
function refuseToKeepAName(fd: number): void {
  if (process.platform === 'win32') return
  const { nlink } = fstatSync(fd)
  if (nlink !== 0)
    throw new Error(
      'the temporary file of the dump is not used, because another user has linked or renamed it',
    )
}
