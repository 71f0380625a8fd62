import {
  accessSync,
  closeSync,
  constants,
  fstatSync,
  openSync,
  readFileSync,
  type Stats,
  statSync,
} from 'node:fs'
import { inWords, isOwn, standsForOne } from '../base/own-user'
import { OPEN_TO_READ, read } from './disk'

const STICKY = 0o1000
const GROUP_WRITES = 0o020
const OTHERS_WRITE = 0o002

/**
 * Says which other user owns a file or directory, and so controls it. `undefined` if it belongs to root or this process's user.
 */
export function whyAnothers(path: string, stats: Stats): string | undefined {
  return stats.uid === 0 || isOwn(path, stats) ? undefined : `belongs to ${inWords(stats.uid)}`
}

/**
 * Says why users other than root and this process's can write to a file, or can rename and delete other users' entries in a
 * directory. `undefined` if they cannot, and on Windows, which has no such modes.
 */
export function whyOpen(path: string, stats: Stats): string | undefined {
  if (process.geteuid === undefined) return undefined
  const why = whyAnothers(path, stats)
  if (why !== undefined || stats.isSymbolicLink()) return why
  const isDirectory = stats.isDirectory()
  // In a directory with the sticky bit, only root, the directory's owner and a file's owner can rename or delete that file.
  if (isDirectory && (stats.mode & STICKY) !== 0) return undefined
  const others = whoElseWrites(stats)
  return others && `is writable for ${others}${isDirectory ? ' and has no sticky bit' : ''}`
}

/** Says why users other than root and this process's can create entries in a directory, even one with the sticky bit. */
export function whyCreatable(path: string, directory: Stats): string | undefined {
  const others = whoElseWrites(directory)
  return whyAnothers(path, directory) ?? (others && `is writable for ${others}`)
}

/**
 * Whether another user can have put a file under its present name, and written its content, though the file belongs to its owner:
 * whoever may write to a file may make a hard link to it in a shared directory. With one link a file counts as its owner's, even
 * if others may write to it: on a file system without permissions, all may write to every file. On Windows, which shows no
 * permissions of others, each file does.
 */
export function isLinkedByOthers({ nlink, mode }: Stats): boolean {
  return process.geteuid !== undefined && nlink > 1 && (mode & (GROUP_WRITES | OTHERS_WRITE)) !== 0
}

/**
 * Whether a file is a regular file of this process's user that another user cannot have prepared ({@link isLinkedByOthers}). On
 * Windows, which has no user ids, each regular file is accepted.
 */
export function isOwnAlone(path: string, stats: Stats): boolean {
  if (!stats.isFile()) return false
  if (process.geteuid === undefined) return true
  return !isLinkedByOthers(stats) && isOwn(path, stats)
}

/**
 * Reads a file of this user as text. Returns `undefined` if it cannot be read, has more than `mostBytes` bytes, is no regular
 * file, or may have been prepared by another user.
 */
export function readOwn(path: string, mostBytes: number): string | undefined {
  const fd = openOwn(path)
  if (fd === undefined) return undefined
  try {
    const { size } = fstatSync(fd)
    return size <= mostBytes ? read(fd, 0, size).toString('utf8') : undefined
  } catch {
    return undefined
  } finally {
    closeSync(fd)
  }
}

/** Opens a file for reading. Returns `undefined` if it is missing or no regular file, or if another user may have prepared it. */
export function openOwn(path: string): number | undefined {
  let fd: number | undefined
  try {
    fd = openSync(path, OPEN_TO_READ)
    if (isOwnAlone(path, fstatSync(fd))) return fd
  } catch {
    // The file is missing, unreadable or a symbolic link.
  }
  if (fd !== undefined) closeSync(fd)
  return undefined
}

function whoElseWrites({ mode, uid, gid }: Stats): string | undefined {
  if ((mode & OTHERS_WRITE) !== 0) return 'all users'
  return (mode & GROUP_WRITES) !== 0 && !isPrivate(gid, uid) ? `the group ${gid}` : undefined
}

/**
 * Says why other users can replace symbolic links in a directory; `undefined` if they cannot. readlink(2) takes a path, not a
 * descriptor: such a user could replace a link for the moment of its reading, so that another link is read than was checked.
 *
 * In a read-only mount nobody can replace a link. Kubernetes mounts a ConfigMap this way: the directory has mode 0777, and its
 * files are symbolic links.
 */
export function whyExchangeable(directory: string): string | undefined {
  // With `/.` at its end, a path through a descriptor, which is a symbolic link, leads to the directory.
  const why = whyOpen(`${directory}/.`, statSync(directory))
  return why !== undefined && isReadOnlyMount(directory) ? undefined : why
}

function isReadOnlyMount(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EROFS'
  }
}

/**
 * Whether the user `uid` is the only member of the group `gid`. By convention a group with the same number as the user is private
 * to that user, unless /etc/passwd or /etc/group lists another member. Group 0 is never private: on OpenShift the users of all
 * containers are members. Nor is one whose id stands for several groups.
 */
function isPrivate(gid: number, uid: number): boolean {
  if (gid !== uid || gid === 0 || !standsForOne(gid, 'gid')) return false
  const users = readTable('/etc/passwd')
  const owners = users.filter(([, , id]) => id === `${uid}`).map(([name]) => name)
  const [, , , members = ''] = readTable('/etc/group').find(([, , id]) => id === `${gid}`) ?? []
  const isAlsoOf = users.some(([, , id, group]) => group === `${gid}` && id !== `${uid}`)
  return !isAlsoOf && members.split(',').every((name) => name === '' || owners.includes(name))
}

/** Reads a table in the format of passwd(5) or group(5): one entry per line, fields separated by colons. */
function readTable(file: string): string[][] {
  try {
    return readFileSync(file, 'utf8')
      .split('\n')
      .map((line) => line.split(':'))
  } catch {
    return []
  }
}

/**
 * Throws while the process acts for another user. File servers switch to a client's user with seteuid(2) for a moment: a dump
 * created then would belong to the client, who could read the memory of the process in it.
 */
export function refuseBorrowedUser(): void {
  const [uid, effective] = [process.getuid?.(), process.geteuid?.()]
  if (uid !== effective)
    throw new Error(
      `no dump is written while the process acts for another user: effective uid ${effective}, real uid ${uid}`,
    )
}
