import * as fs from 'node:fs'
import { statfs } from 'node:fs/promises'
import { randomUUID } from 'node:crypto'
import { dirname, join, resolve } from 'node:path'
import { CREATE_NEW } from './disk'

/** Creates a directory, and those above it, if it is missing: each for its owner only. Idempotent. @throws The file system's error. */
export function makeDirectory(directory: string): void {
  // One level at a time: with `recursive` Node retries for ever where nothing can be created, as in /proc.
  if (fs.statSync(directory, { throwIfNoEntry: false })) return
  const parent = dirname(directory)
  if (parent !== directory) makeDirectory(parent)
  try {
    fs.mkdirSync(directory, { mode: 0o700 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

/**
 * Creates a directory if it is missing, and writes a file there that never stays.
 *
 * @returns Why dumps to it will fail, or `undefined` if nothing is known against it. Never throws.
 */
export function whyNotWritable(directory: string): string | undefined {
  try {
    makeDirectory(directory)
    tryOut(directory)
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

/** access(2) is not enough: a read-only mount, a quota and a full disk stop root and the owner too. */
function tryOut(directory: string): void {
  const trial = join(directory, `.cpu-memory-monitor-${process.pid}-${randomUUID()}`)
  const descriptor = fs.openSync(trial, CREATE_NEW, 0o600)
  try {
    fs.unlinkSync(trial)
    fs.writeSync(descriptor, '1')
  } finally {
    fs.closeSync(descriptor)
  }
}

/**
 * Looks for other users that can rename or delete in a directory or in one above it. They cannot read a dump, nor redirect
 * it, because a dump is written through a descriptor; but they can delete it.
 *
 * @returns The level and the reason, e.g. `/data belongs to the user 1001`; `undefined` if only this user and root can.
 */
export function whoCanTamper(directory: string): string | undefined {
  const uid = process.geteuid?.()
  if (uid === undefined) return undefined
  try {
    const levels = new Set([...levelsOf(resolve(directory)), ...levelsOf(fs.realpathSync(directory))])
    for (const level of levels) {
      const why = whyOpen(fs.lstatSync(level), uid)
      if (why !== undefined) return `${level} ${why}`
    }
    return undefined
  } catch {
    // A directory that cannot be examined cannot be used either, and is reported for that.
    return undefined
  }
}

function levelsOf(directory: string): string[] {
  const parent = dirname(directory)
  return parent === directory ? [directory] : [...levelsOf(parent), directory]
}

const STICKY = 0o1000
const GROUP_WRITES = 0o020
const OTHERS_WRITE = 0o002

function whyOpen(stats: fs.Stats, uid: number): string | undefined {
  if (stats.uid !== uid && stats.uid !== 0) return `belongs to the user ${stats.uid}`
  // In a sticky directory only the owner of a file, of the directory, and root can rename or delete it.
  if (stats.isSymbolicLink() || (stats.mode & STICKY) !== 0) return undefined
  if ((stats.mode & OTHERS_WRITE) !== 0) return 'is writable for all users and has no sticky bit'
  // A group numbered as its owner is that user's private group by convention; group 0 is root's.
  const isPrivate = stats.gid === stats.uid || stats.gid === 0
  const isOpen = (stats.mode & GROUP_WRITES) !== 0 && !isPrivate
  return isOpen ? `is writable for the group ${stats.gid} and has no sticky bit` : undefined
}

/** The file system of a directory, as far as a dump depends on it. */
export interface Disk {
  /** Space that an unprivileged process may still use, bytes. */
  readonly freeBytes: number
  /** Memory-backed (tmpfs): files written there count as the writer's memory. `/tmp` is one on many systems. */
  readonly isMemory: boolean
}

/** `f_type` of tmpfs, statfs(2). */
const TMPFS_MAGIC = 0x01021994

/** @throws The file system's error. */
export async function readDisk(directory: string): Promise<Disk> {
  const { bavail, bsize, type } = await statfs(directory)
  return { freeBytes: bavail * bsize, isMemory: process.platform === 'linux' && type === TMPFS_MAGIC }
}
