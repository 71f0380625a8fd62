import { randomUUID } from 'node:crypto'
import * as fs from 'node:fs'
import { statfs } from 'node:fs/promises'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { isMainThread } from 'node:worker_threads'
import { inWords, isOwn } from '../base/own-user'
import { createUnderAnyName } from './disk'
import { refuseBorrowedUser, whyAnothers, whyExchangeable, whyOpen } from './owners'

/**
 * Flag of open(2) that Node.js does not export. It opens a file or directory without permission to read it, and without effect:
 * no device or FIFO notices.
 */
export const O_PATH = 0o10000000
/** Largest number of symbolic links that are followed on one path. The kernel has the same limit, path_resolution(7). */
const MAX_LINKS = 40

/**
 * Creates a directory and its missing parents, each with mode 0700. Idempotent.
 *
 * @throws The file system's error, or an error that names a symbolic link that another user controls in the path.
 */
export function makeDirectory(directory: string): void {
  refuseBorrowedUser()
  const path = resolve(directory)
  // Throws ENAMETOOLONG for a path that is too long. The code below could create it level by level, but all later calls that use
  // the whole path would fail.
  fs.lstatSync(path, { throwIfNoEntry: false })
  if (process.platform !== 'linux' || !canReachDescriptors()) makeByPath(path)
  else fs.closeSync(openByLevels(path, true))
}

/** A directory that is kept open while files in it are created or deleted. */
export interface HeldDirectory {
  /** Path `/proc/self/fd/<n>`, which leads to the directory even after a rename. Without /proc it is the plain path. */
  readonly place: string
  close(): void
}

/**
 * Opens an existing directory and returns a path through its file descriptor. With the plain path, the owner of a parent
 * directory could replace the directory with a symbolic link and so redirect what is created or deleted in it.
 *
 * @throws The file system's error, or an error that names a symbolic link that another user controls in the path.
 */
export function holdDirectory(directory: string): HeldDirectory {
  const isPossible = process.platform === 'linux' && isAbsolute(directory) && canReachDescriptors()
  if (!isPossible) return { place: directory, close: () => undefined }
  const fd = openByLevels(directory, false)
  return { place: `/proc/self/fd/${fd}`, close: () => fs.closeSync(fd) }
}

/** Holds a directory open while `work` runs, and passes `work` a path through the descriptor ({@link HeldDirectory.place}). */
export function within<T>(directory: string, work: (place: string) => T): T {
  const held = holdDirectory(directory)
  try {
    return work(held.place)
  } catch (error) {
    // Show the operator the configured path, not the one through /proc.
    if (error instanceof Error) error.message = error.message.replaceAll(held.place, directory)
    throw error
  } finally {
    held.close()
  }
}

/**
 * Holds a directory open with {@link holdDirectory} while `list` reads it, and passes the path through its descriptor. Never
 * rejects: a directory that cannot be read counts as empty.
 */
export async function listWithin<T>(
  directory: string,
  list: (place: string) => Promise<readonly T[]>,
): Promise<readonly T[]> {
  let held: HeldDirectory | undefined
  try {
    held = holdDirectory(directory)
    return await list(held.place)
  } catch {
    return []
  } finally {
    held?.close()
  }
}

/** Whether paths below `/proc/self/fd` can be used: /proc must exist, and Node's permission model must allow them. */
export function canReachDescriptors(): boolean {
  const { permission } = process as { permission?: { has(scope: string, reference: string): boolean } }
  if (permission?.has('fs.write', '/proc/self/fd') === false) return false
  try {
    fs.accessSync('/proc/self/fd/0/..')
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOTDIR'
  }
}

/**
 * Opens a directory level by level (one part of the path at a time), each through the descriptor of the level above. With calls
 * by path, a user who can write in one of the levels could insert a symbolic link between two calls, and a process of root would
 * create directories wherever the link leads. For the same reason, a symbolic link is not followed if it belongs to another
 * user, or if another user can replace it.
 *
 * @param canBeMade - Whether missing levels are created. If not, a missing level is an error.
 * @returns A file descriptor of the directory.
 */
function openByLevels(path: string, canBeMade: boolean): number {
  let links = 0
  let names = namesOf(path, canBeMade)
  let level = { fd: fs.openSync('/', O_PATH), path: '/' }
  try {
    for (let name = names.shift(); name !== undefined; name = names.shift()) {
      const above = level
      const next = enter(above, name)
      if ('fd' in next) {
        level = next
        fs.closeSync(above.fd)
        continue
      }
      if (++links > MAX_LINKS) throw new Error(`${path} leads through more than ${MAX_LINKS} symbolic links`)
      names = [...namesOf(next.target, false), ...names]
      if (!isAbsolute(next.target)) continue
      level = { fd: fs.openSync('/', O_PATH), path: '/' }
      fs.closeSync(above.fd)
    }
    return level.fd
  } catch (error) {
    fs.closeSync(level.fd)
    throw error
  }
}

interface Name {
  readonly name: string
  /** Whether the level is created if it is missing. `false` for the target of a symbolic link: a dangling link is an error. */
  readonly canBeMade: boolean
}

interface Level {
  readonly fd: number
  /** Path of the level, for error messages only. */
  readonly path: string
}

/** Opens the directory `name` in `above`, or creates it. @returns The open directory; for a symbolic link, its target. */
function enter(above: Level, { name, canBeMade }: Name): Level | { readonly target: string } {
  const path = join(above.path, name)
  const reached = `/proc/self/fd/${above.fd}/${name}`
  try {
    const fd = openLevel(reached, canBeMade)
    const stats = fs.fstatSync(fd)
    if (stats.isDirectory()) return { fd, path }
    fs.closeSync(fd)
    if (!stats.isSymbolicLink()) throw new Error(`ENOTDIR: ${path} is not a directory`)
    if (whyAnothers(reached, stats) !== undefined)
      throw new Error(`${path} is not followed, because it is a symbolic link of another user`)
    const why = whyExchangeable(`/proc/self/fd/${above.fd}`)
    if (why !== undefined)
      throw new Error(
        `${path} is not followed, because it is a symbolic link that other users can replace: ${above.path} ${why}`,
      )
    const target = fs.readlinkSync(reached)
    // Check the inode again: in a sticky directory another user can create a link in place of one that its owner has removed.
    if (fs.lstatSync(reached).ino !== stats.ino)
      throw new Error(`the symbolic link ${path} was replaced while it was read, so it is not followed`)
    return { target }
  } catch (error) {
    // Show the operator the configured path, not the one through /proc.
    if (error instanceof Error) error.message = error.message.replace(reached, path)
    throw error
  }
}

function openLevel(path: string, canBeMade: boolean): number {
  const flags = O_PATH | fs.constants.O_NOFOLLOW
  try {
    return fs.openSync(path, flags)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || !canBeMade) throw error
  }
  const isMade = makeOne(path)
  const fd = fs.openSync(path, flags)
  // Restore the owner's permissions if the umask removed them. The check and chmod both go through the descriptor, so both apply
  // to the same directory.
  if (isMade && isNewUnderUmask(fs.fstatSync(fd))) fs.chmodSync(`/proc/self/fd/${fd}`, 0o700)
  return fd
}

/**
 * Whether a directory looks like one just made, from which the umask has removed permissions of the owner. The owner of its
 * parent may have put another directory of this user in its place, whose mode must not be changed.
 */
function isNewUnderUmask(stats: fs.Stats): boolean {
  const umask = readUmask()
  const isOurs = stats.isDirectory() && stats.uid === process.geteuid?.() && stats.nlink <= 2
  return isOurs && (umask & 0o700) !== 0 && (stats.mode & 0o777) === (0o700 & ~umask)
}

/** Reads this process's umask from /proc, because process.umask() sets it to 0 for a moment. */
function readUmask(): number {
  const [, octal = '0'] = /^Umask:\s*([0-7]+)/m.exec(fs.readFileSync('/proc/self/status', 'utf8')) ?? []
  return Number.parseInt(octal, 8)
}

/** Creates a directory, one level after the other: `mkdir` with `recursive` retries for ever in places such as /proc. */
function makeByPath(directory: string): void {
  if (fs.statSync(directory, { throwIfNoEntry: false })) return
  const parent = dirname(directory)
  if (parent !== directory) makeByPath(parent)
  makeOne(directory)
}

/** Creates one directory of mode 0700. @returns `false` if the path exists already. */
function makeOne(path: string): boolean {
  try {
    fs.mkdirSync(path, { mode: 0o700 })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return false
  }
}

function namesOf(path: string, canBeMade: boolean): Name[] {
  const names = path.split('/').filter((name) => name !== '' && name !== '.')
  return names.map((name) => ({ name, canBeMade }))
}

/**
 * Creates a directory if it is missing, and tests it by writing a temporary file that is unlinked at once.
 *
 * @returns Why dumps to this directory will fail, or `undefined` if the test passed. Never throws.
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

/**
 * Writes a temporary file. A check by access(2) is not enough: it notices neither an exhausted quota nor a full disk.
 *
 * @returns The permission bits that the file system gave to the file, where 0600 was requested; its owner, in words, if it does
 *   not count as this process's own.
 */
function tryOut(directory: string, isOurs = isOwn): { readonly mode: number; readonly stranger?: string } {
  refuseBorrowedUser()
  return within(directory, (place) => {
    const nameAnew = (): string => join(place, `.cpu-memory-monitor-${process.pid}-${randomUUID()}`)
    const { path: trial, fd: descriptor } = createUnderAnyName(nameAnew)
    try {
      const stats = fs.fstatSync(descriptor)
      const isOwnFile = isOurs(trial, stats)
      fs.unlinkSync(trial)
      fs.writeSync(descriptor, '1')
      return {
        mode: stats.mode & 0o777,
        ...(!isOwnFile && { stranger: inWords(stats.uid) }),
      }
    } finally {
      fs.closeSync(descriptor)
    }
  })
}

/**
 * Finds out whether other users can read files that this process creates in a directory. They can where the file system
 * ignores file modes (vfat, CIFS, some FUSE file systems) and every level of the path lets them in.
 *
 * @returns The mode that new files get, e.g. `0755`; `undefined` if others cannot read them. Never throws.
 */
export function modeForOthers(directory: string): string | undefined {
  try {
    if (process.geteuid === undefined) return undefined
    const { mode } = tryOut(directory)
    const isClosed = levelsOf(fs.realpathSync(directory)).some(
      (level) => (fs.lstatSync(level).mode & ENTERED) === 0,
    )
    return isOpenToOthers(mode) && !isClosed ? octal(mode) : undefined
  } catch {
    // A directory that cannot be examined cannot be written to either, which `whyNotWritable` reports.
    return undefined
  }
}

/**
 * Finds out whether files that this process creates in a directory can be told from those of other users. They cannot where the
 * file system gives them another owner, and where the user namespace hides the owner and the file system does not tell either.
 *
 * @returns The owner of such files, in words; `undefined` if they count as this process's own. Never throws.
 */
export function whoseFiles(directory: string, isOurs = isOwn): string | undefined {
  try {
    return tryOut(directory, isOurs).stranger
  } catch {
    // `whyNotWritable` reports it.
    return undefined
  }
}

export function isOpenToOthers(mode: number): boolean {
  return (mode & 0o077) !== 0
}

export function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0')
}

/**
 * Looks for other users that can rename or delete entries of a directory or of one of its parents. They can delete a dump, but
 * not redirect it, because it is written through a file descriptor, nor read it, if the file system keeps its mode and owner.
 *
 * @returns The directory and the reason, e.g. `/data belongs to the user 1001`; `undefined` if only this user and root can.
 */
export function whoCanTamper(directory: string): string | undefined {
  try {
    return findTamperer(directory)
  } catch {
    // A directory that cannot be examined cannot be written to either, which `whyNotWritable` reports.
    return undefined
  }
}

/**
 * Returns the first of a directory and its parents whose entries another user can rename or delete, with the reason, e.g.
 * `/data belongs to the user 1001`. `undefined` if only this user and root can.
 *
 * @throws The file system's error when a directory cannot be examined.
 */
export function findTamperer(directory: string): string | undefined {
  return findLevel(directory, whyOpen)
}

/**
 * Returns the first of a directory and its parents that belongs to another user, who may have mounted a file system there, with
 * the reason, e.g. `/data belongs to the user 1001`. `undefined` if all belong to this user or root.
 *
 * @throws The file system's error when a directory cannot be examined.
 */
export function findStranger(directory: string): string | undefined {
  return findLevel(directory, whyAnothers)
}

function findLevel(
  directory: string,
  judge: (path: string, stats: fs.Stats) => string | undefined,
): string | undefined {
  if (process.geteuid === undefined) return undefined
  const levels = new Set([...levelsOf(resolve(directory)), ...levelsOf(fs.realpathSync(directory))])
  for (const level of levels) {
    const why = judge(level, fs.lstatSync(level))
    if (why !== undefined) return `${level} ${why}`
  }
  return undefined
}

function levelsOf(directory: string): string[] {
  const parent = dirname(directory)
  return parent === directory ? [directory] : [...levelsOf(parent), directory]
}

/** Execute bits that let a group or all users enter a directory. */
const ENTERED = 0o011

/** Properties of the file system of a directory that decide whether a dump fits there. */
export interface Disk {
  /** Space that an unprivileged process may still use, bytes. */
  readonly freeBytes: number
  /** Whether this is a tmpfs, as `/tmp` often is: its files take memory of the writer's cgroup instead of disk space. */
  readonly isMemory: boolean
}

/** Value of `f_type` in the result of statfs(2) for a tmpfs. */
const TMPFS_MAGIC = 0x01021994

/** Returns the directory if it exists, otherwise its closest existing parent. */
export function nearestExisting(directory: string): string {
  const parent = dirname(directory)
  return fs.existsSync(directory) || parent === directory ? directory : nearestExisting(parent)
}

/** Reads free space and type of a directory's file system. @throws The file system's error. */
export async function readDisk(directory: string): Promise<Disk> {
  // Synchronous on a thread of this library: libuv's thread pool may be full of the application's work.
  const { bavail, bsize, type } = isMainThread ? await statfs(directory) : fs.statfsSync(directory)
  return { freeBytes: bavail * bsize, isMemory: process.platform === 'linux' && type === TMPFS_MAGIC }
}
