import { randomBytes } from 'node:crypto'
import { closeSync, fstatSync, unlinkSync } from 'node:fs'
import { basename, join } from 'node:path'
import { within } from './directory'
import { createUnderAnyName, ignoringErrors, type MarkedFile, markOf } from './disk'
import { refuseBorrowedUser } from './owners'
import { reachThrough, refuseOpenToOthers } from './partial'

/**
 * A temporary file for content that must not stay on disk, such as a heap snapshot before it is redacted. Except on Windows the
 * file has no name, so the kernel frees its disk space when the process ends.
 */
export interface Scratch {
  readonly fd: number
  /** Path `/proc/self/fd/<n>` and inode, for code that needs a path, not a descriptor. `undefined` where /proc cannot be used. */
  readonly target: MarkedFile | undefined
  /** Closes the file, which frees its disk space. Idempotent. */
  close(): void
}

/**
 * Creates a file of mode 0600 in a directory and unlinks it before anything is written. On Windows, where an open file cannot
 * be unlinked, `close` unlinks it.
 *
 * Another user who opens the file before the unlink could read everything that is written later. So the call fails if the file
 * system ignores the mode and another user may have mounted it, or if another user has given the file a second name.
 *
 * @throws The file system's error, or an error that says how another user could read the file.
 */
export function openScratch(directory: string): Scratch {
  return within(directory, (place) => openScratchIn(place, directory))
}

/**
 * Creates the temporary file that {@link openScratch} describes, for a caller that holds the directory open already.
 *
 * @param place - The directory's path through its descriptor.
 * @param directory - The directory's own path. The owners of its levels are checked; on Windows, `close` unlinks the file by it.
 */
export function openScratchIn(place: string, directory = place): Scratch {
  refuseBorrowedUser()
  const nameAnew = (): string => join(place, `.${randomBytes(8).toString('hex')}.scratch`)
  const { path, fd } = createUnderAnyName(nameAnew)
  ignoringErrors(() => unlinkSync(path))
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
      if (process.platform === 'win32') ignoringErrors(() => unlinkSync(join(directory, basename(path))))
    },
  }
}

/**
 * @throws When the unlinked file still has a name: another user has renamed or hard-linked it before it was unlinked, it could not
 * be unlinked, or the file system renames an open file instead, as NFS does.
 */
function refuseToKeepAName(fd: number): void {
  if (process.platform === 'win32') return
  const { nlink } = fstatSync(fd)
  if (nlink !== 0)
    throw new Error(
      'the temporary file of the dump is not used, because it still has a name: ' +
        'another user has linked or renamed it, or the file system keeps a name of an open file, as NFS does',
    )
}
