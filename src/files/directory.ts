import { randomUUID } from 'node:crypto'
import { closeSync, openSync, unlinkSync, writeSync } from 'node:fs'
import { chmod, mkdir, stat, statfs } from 'node:fs/promises'
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
    tryOut(directory)
    return { writable: true }
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException
    return code === undefined
      ? { writable: false, reason: message }
      : { writable: false, reason: message, code }
  }
}

/** The file system of a directory, as far as a dump needs to know it. */
export interface Disk {
  /** Space that an unprivileged process may still use, bytes. */
  readonly freeBytes: number
  /** What is written there takes memory, of whoever writes: a tmpfs. `/tmp` is one on many systems. */
  readonly isMemory: boolean
}

/** `f_type` of tmpfs, statfs(2). */
const TMPFS_MAGIC = 0x01021994

/** @throws The file system's error. */
export async function readDisk(directory: string): Promise<Disk> {
  const { bavail, bsize, type } = await statfs(directory)
  return { freeBytes: bavail * bsize, isMemory: process.platform === 'linux' && type === TMPFS_MAGIC }
}

async function createMissing(directory: string): Promise<void> {
  // Level by level: with `recursive` Node tries for ever where the parent exists and nothing can be made in it, as in /proc.
  for (const level of await missingLevels(resolve(directory))) {
    // A default ACL of the parent can have given more than was asked for.
    if (await create(level)) await chmod(level, OWNER_ONLY)
  }
}

/** The directory and those above it that do not exist, topmost first. */
async function missingLevels(directory: string): Promise<string[]> {
  const isThere = await stat(directory).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code !== 'ENOENT',
  )
  const parent = dirname(directory)
  return isThere || parent === directory ? [] : [...(await missingLevels(parent)), directory]
}

/** @returns `false` when another process was quicker. */
async function create(level: string): Promise<boolean> {
  try {
    await mkdir(level, { mode: OWNER_ONLY })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || !(await stat(level)).isDirectory()) throw error
    return false
  }
}

/** Permissions do not tell: a read-only mount, a quota, a full disk let root and owner down just the same. */
function tryOut(directory: string): void {
  const trial = join(directory, `.cpu-memory-monitor-${process.pid}-${randomUUID()}`)
  // Made and unlinked in one go: an application that exits in between, as at its start, would leave it.
  const descriptor = openSync(trial, CREATE_NEW, 0o600)
  try {
    unlinkSync(trial)
    writeSync(descriptor, '1')
  } finally {
    closeSync(descriptor)
  }
}
