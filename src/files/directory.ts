import { randomUUID } from 'node:crypto'
import * as fs from 'node:fs'
import { statfs } from 'node:fs/promises'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { isMainThread } from 'node:worker_threads'
import { CREATE_NEW } from './disk'

/** `O_PATH`, open(2): a descriptor for a place in the tree, without permission to read there. Node does not name it. */
const O_PATH = 0o10000000
/** As many symbolic links as the kernel follows on one path, path_resolution(7). */
const MAX_LINKS = 40

/**
 * Creates a directory, and those above it, if it is missing: each for its owner only. Idempotent.
 *
 * @throws The file system's error, or one that names a symbolic link that another user may have put there.
 */
export function makeDirectory(directory: string): void {
  const path = resolve(directory)
  // For its error: level by level, a path that is too long for any other call could be made.
  fs.lstatSync(path, { throwIfNoEntry: false })
  if (process.platform !== 'linux' || !canReachDescriptors()) makeByPath(path)
  else fs.closeSync(openByLevels(path, true))
}

/** A directory that is held while something is done in it. */
export interface HeldDirectory {
  /** A path that leads to the directory even when its name leads elsewhere by now. Without /proc it is the name. */
  readonly place: string
  close(): void
}

/**
 * Holds an existing directory. The owner of a level above it can put a symbolic link in its place at any moment, and what is then
 * created or deleted by its name is created or deleted wherever the link leads.
 *
 * @throws The file system's error, or one that names a symbolic link that another user may have put there.
 */
export function holdDirectory(directory: string): HeldDirectory {
  const isPossible = process.platform === 'linux' && isAbsolute(directory) && canReachDescriptors()
  if (!isPossible) return { place: directory, close: () => undefined }
  const fd = openByLevels(directory, false)
  return { place: `/proc/self/fd/${fd}`, close: () => fs.closeSync(fd) }
}

/** {@link holdDirectory} for the time of a call, which is given the place. */
export function within<T>(directory: string, work: (place: string) => T): T {
  const held = holdDirectory(directory)
  try {
    return work(held.place)
  } catch (error) {
    // The path as the operator knows it.
    if (error instanceof Error) error.message = error.message.replaceAll(held.place, directory)
    throw error
  } finally {
    held.close()
  }
}

/** Not without /proc, nor where Node's permission model forbids it. */
function canReachDescriptors(): boolean {
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
 * One level at a time, each held by a descriptor: between two calls by path, a user who can write in one of the levels could
 * put a symbolic link in the way, and root would create directories wherever it leads. For the same reason, a link of another
 * user is not followed, nor one in a directory where another user can rename.
 *
 * @param canBeMade - Create what is missing.
 * @returns A descriptor of the directory.
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
      if (++links > MAX_LINKS) throw new Error(`${path} has more than ${MAX_LINKS} symbolic links`)
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
  /** Not for what a symbolic link leads to: a dangling link stays one. */
  readonly canBeMade: boolean
}

interface Level {
  readonly fd: number
  /** For error messages only. */
  readonly path: string
}

/** @returns The next level, created if it was missing, or the target of the symbolic link that stands there. */
function enter(above: Level, { name, canBeMade }: Name): Level | { readonly target: string } {
  const path = join(above.path, name)
  const reached = `/proc/self/fd/${above.fd}/${name}`
  try {
    const fd = openLevel(reached, canBeMade)
    const stats = fs.fstatSync(fd)
    if (stats.isDirectory()) return { fd, path }
    fs.closeSync(fd)
    if (!stats.isSymbolicLink()) throw new Error(`ENOTDIR: ${path} is not a directory`)
    if (isAnothers(stats)) throw new Error(`${path} is a symbolic link of another user`)
    refuseExchange(above, path)
    const target = fs.readlinkSync(reached)
    // Looked at again: in a sticky directory another user can put a link of his in the place of one that its owner has just removed.
    if (fs.lstatSync(reached).ino !== stats.ino) throw new Error(`${path} was replaced while it was read`)
    return { target }
  } catch (error) {
    // The path as the operator knows it.
    if (error instanceof Error) error.message = error.message.replace(reached, path)
    throw error
  }
}

/**
 * A link is read by its name. Whoever can rename in its directory can exchange it for another and back, faster than any two looks at
 * it, so that one link is examined and another one read.
 */
function refuseExchange(above: Level, path: string): void {
  const uid = process.geteuid?.()
  const why = uid === undefined ? undefined : whyOpen(fs.fstatSync(above.fd), uid)
  if (why === undefined) return
  throw new Error(`${path} is a symbolic link that others can exchange: ${above.path} ${why}`)
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
  // A umask such as 0777 takes the owner's rights away. Through the descriptor, so that it is one directory that is examined and gets them.
  if (isMade && isNewUnderUmask(fs.fstatSync(fd))) fs.chmodSync(`/proc/self/fd/${fd}`, 0o700)
  return fd
}

/** Exactly as mkdir(2) leaves it: the owner of the level above can put another directory of ours in its place. */
function isNewUnderUmask(stats: fs.Stats): boolean {
  const umask = readUmask()
  const isOurs = stats.isDirectory() && stats.uid === process.geteuid?.() && stats.nlink <= 2
  return isOurs && (umask & 0o700) !== 0 && (stats.mode & 0o777) === (0o700 & ~umask)
}

/** process.umask() would set it to 0 for a moment. */
function readUmask(): number {
  const [, octal = '0'] = /^Umask:\s*([0-7]+)/m.exec(fs.readFileSync('/proc/self/status', 'utf8')) ?? []
  return Number.parseInt(octal, 8)
}

function makeByPath(directory: string): void {
  // One level at a time: with `recursive` Node retries for ever where nothing can be created, as in /proc.
  if (fs.statSync(directory, { throwIfNoEntry: false })) return
  const parent = dirname(directory)
  if (parent !== directory) makeByPath(parent)
  makeOne(directory)
}

/** @returns `false` if something stands there already. */
function makeOne(path: string): boolean {
  try {
    fs.mkdirSync(path, { mode: 0o700 })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return false
  }
}

function isAnothers({ uid }: fs.Stats): boolean {
  return uid !== 0 && uid !== process.geteuid?.()
}

function namesOf(path: string, canBeMade: boolean): Name[] {
  const names = path.split('/').filter((name) => name !== '' && name !== '.')
  return names.map((name) => ({ name, canBeMade }))
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

/**
 * access(2) is not enough: a read-only mount, a quota and a full disk stop root and the owner too.
 *
 * @returns The mode that a file has there.
 */
function tryOut(directory: string): number {
  return within(directory, (place) => {
    const trial = join(place, `.cpu-memory-monitor-${process.pid}-${randomUUID()}`)
    const descriptor = fs.openSync(trial, CREATE_NEW, 0o600)
    try {
      fs.unlinkSync(trial)
      fs.writeSync(descriptor, '1')
      return fs.fstatSync(descriptor).mode & 0o777
    } finally {
      fs.closeSync(descriptor)
    }
  })
}

/**
 * Looks for a file system that does not keep the modes of files (vfat, CIFS, some of FUSE), in a directory that other users can
 * enter.
 *
 * @returns The mode that it gives to files, if others can read them, e.g. `0755`. Never throws.
 */
export function modeForOthers(directory: string): string | undefined {
  try {
    if (process.geteuid === undefined) return undefined
    const mode = tryOut(directory)
    const isClosed = levelsOf(fs.realpathSync(directory)).some(
      (level) => (fs.lstatSync(level).mode & ENTERED) === 0,
    )
    return isOpenToOthers(mode) && !isClosed ? octal(mode) : undefined
  } catch {
    // A directory that cannot be examined cannot be used either, and is reported for that.
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
 * Looks for other users that can rename or delete in a directory or in one above it. They cannot read a dump, nor redirect
 * it, because a dump is written through a descriptor; but they can delete it.
 *
 * @returns The level and the reason, e.g. `/data belongs to the user 1001`; `undefined` if only this user and root can.
 */
export function whoCanTamper(directory: string): string | undefined {
  try {
    return findTamperer(directory)
  } catch {
    // A directory that cannot be examined cannot be used either, and is reported for that.
    return undefined
  }
}

/** {@link whoCanTamper}. @throws The file system's error, when a level cannot be examined. */
export function findTamperer(directory: string): string | undefined {
  return findLevel(directory, whyOpen)
}

/** {@link findTamperer}, only for a level of another user, who decides what file system the directory is on. */
export function findStranger(directory: string): string | undefined {
  return findLevel(directory, whyAnothers)
}

function findLevel(
  directory: string,
  judge: (stats: fs.Stats, uid: number) => string | undefined,
): string | undefined {
  const uid = process.geteuid?.()
  if (uid === undefined) return undefined
  const levels = new Set([...levelsOf(resolve(directory)), ...levelsOf(fs.realpathSync(directory))])
  for (const level of levels) {
    const why = judge(fs.lstatSync(level), uid)
    if (why !== undefined) return `${level} ${why}`
  }
  return undefined
}

function levelsOf(directory: string): string[] {
  const parent = dirname(directory)
  return parent === directory ? [directory] : [...levelsOf(parent), directory]
}

const STICKY = 0o1000
const GROUP_WRITES = 0o020
const OTHERS_WRITE = 0o002
/** By a group or by all. */
const ENTERED = 0o011

function whyAnothers(stats: fs.Stats, uid: number): string | undefined {
  return stats.uid !== uid && stats.uid !== 0 ? `belongs to the user ${stats.uid}` : undefined
}

function whyOpen(stats: fs.Stats, uid: number): string | undefined {
  const why = whyAnothers(stats, uid)
  if (why !== undefined) return why
  // In a sticky directory only the owner of a file, of the directory, and root can rename or delete it.
  if (stats.isSymbolicLink() || (stats.mode & STICKY) !== 0) return undefined
  if ((stats.mode & OTHERS_WRITE) !== 0) return 'is writable for all users and has no sticky bit'
  const isOpen = (stats.mode & GROUP_WRITES) !== 0 && !isPrivate(stats.gid, stats.uid)
  return isOpen ? `is writable for the group ${stats.gid} and has no sticky bit` : undefined
}

/**
 * Whether a group has the owner as its one member. By convention the private group of a user has his number; it is not taken for one
 * when /etc names another member. Group 0 is nobody's: on OpenShift the users of all containers are in it.
 */
function isPrivate(gid: number, uid: number): boolean {
  if (gid !== uid || gid === 0) return false
  const users = readTable('/etc/passwd')
  const owners = users.filter(([, , id]) => id === `${uid}`).map(([name]) => name)
  const [, , , members = ''] = readTable('/etc/group').find(([, , id]) => id === `${gid}`) ?? []
  const isAlsoOf = users.some(([, , id, group]) => group === `${gid}` && id !== `${uid}`)
  return !isAlsoOf && members.split(',').every((name) => name === '' || owners.includes(name))
}

/** passwd(5) and group(5): fields between colons. */
function readTable(file: string): string[][] {
  try {
    return fs
      .readFileSync(file, 'utf8')
      .split('\n')
      .map((line) => line.split(':'))
  } catch {
    return []
  }
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

/** The directory, or the one in which it would be created. */
export function nearestExisting(directory: string): string {
  const parent = dirname(directory)
  return fs.existsSync(directory) || parent === directory ? directory : nearestExisting(parent)
}

/** @throws The file system's error. */
export async function readDisk(directory: string): Promise<Disk> {
  // On a thread of this library not through the thread pool, which the application may have filled.
  const { bavail, bsize, type } = isMainThread ? await statfs(directory) : fs.statfsSync(directory)
  return { freeBytes: bavail * bsize, isMemory: process.platform === 'linux' && type === TMPFS_MAGIC }
}
