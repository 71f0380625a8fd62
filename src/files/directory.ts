import { randomUUID } from 'node:crypto'
import { chmod, mkdir, open, statfs, unlink } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { CREATE_NEW } from './disk'

/** Whether artefacts can be written to a directory, and if not, why. */
export type DirectoryVerdict =
  { readonly writable: true } | { readonly writable: false; readonly reason: string; readonly code?: string }

const OWNER_ONLY = 0o700

/**
 * Creates a directory if it is missing, every created level for its owner only (0700), and finds out by a trial whether
 * files can be written there. The trial leaves nothing. Never rejects.
 */
export async function prepareDirectory(directory: string): Promise<DirectoryVerdict> {
  try {
    await createMissing(directory)
    await tryOut(directory)
    return { writable: true }
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException
    return code === undefined
      ? { writable: false, reason: message }
      : { writable: false, reason: message, code }
  }
}

/**
 * Space that an unprivileged process may still use on the file system of a directory.
 *
 * @returns Bytes.
 * @throws The file system's error.
 */
export async function freeBytes(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory)
  return bavail * bsize
}

async function createMissing(directory: string): Promise<void> {
  const topmostCreated = await mkdir(directory, { recursive: true, mode: OWNER_ONLY })
  if (topmostCreated === undefined) return
  const top = resolve(topmostCreated)
  for (let level = resolve(directory); level.startsWith(top); level = dirname(level)) {
    // A default ACL of the parent can have given more than was asked for.
    await chmod(level, OWNER_ONLY)
  }
}

/** Permissions do not tell: a read-only mount, a quota, a full disk let root and owner down just the same. */
async function tryOut(directory: string): Promise<void> {
  const trial = join(directory, `.cpu-memory-monitor-${process.pid}-${randomUUID()}`)
  const handle = await open(trial, CREATE_NEW, 0o600)
  try {
    // First of all: a process that ends in between would leave it.
    await unlink(trial)
    await handle.write('1')
  } finally {
    await handle.close()
  }
}
