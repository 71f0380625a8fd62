import { closeSync, constants, fstatSync, lstatSync, openSync, readFileSync, type Stats } from 'node:fs'

/** Reads a file of the kernel as text; `undefined` if it cannot be read. */
type ReadText = (path: string) => string | undefined

/**
 * Makes a function that reads each file once and then returns the same text again: the kernel lets `/proc/self/uid_map` and
 * `gid_map` be written only once. A failure is not kept, and neither is an empty text: the map has not been written yet.
 */
export function keeping(read: ReadText): ReadText {
  const texts = new Map<string, string>()
  return (path) => {
    const text = texts.get(path) ?? read(path)
    if (text) texts.set(path, text)
    return text
  }
}

const readOnce = keeping((path) => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
})

/** Content of `/proc/self/uid_map` and `gid_map` in a user namespace that maps all users: each id is that of the machine. */
const ALL = /^ *0 +0 +4294967295\n$/
/** The id of all users that a user namespace does not map, unless the machine's administrator has changed it. */
const OVERFLOW_ID = 65_534

/**
 * Whether an id of a user or a group stands for one only. A user namespace, as of a rootless container, shows all users that it
 * does not map by one and the same id, 65534 (`nobody`). A file with this id may then belong to any of them, or to the user of
 * the namespace that really has this id.
 */
export function standsForOne(id: number, kind: 'uid' | 'gid' = 'uid', read: ReadText = readOnce): boolean {
  if (process.platform !== 'linux') return true
  const overflow = Number(read(`/proc/sys/kernel/overflow${kind}`) ?? OVERFLOW_ID)
  return id !== overflow || ALL.test(read(`/proc/self/${kind}_map`) ?? '')
}

/** Whether a user id is certainly that of this process: the same, and one that stands for one user only. */
export function isOwnUser(uid: number, own = process.geteuid?.(), read: ReadText = readOnce): boolean {
  return uid === own && standsForOne(uid, 'uid', read)
}

/**
 * Whether a file, directory or process certainly belongs to this process's user. Where the id does not tell, the kernel is asked:
 * a symbolic link, which cannot be opened, is then nobody's own, and neither is a file that cannot be read. On Windows, which has
 * no user ids, everything is.
 *
 * @param path - Path of the file, or `/proc/<pid>` of a process. A symbolic link at its end is not followed.
 * @param stats - What the path had when it was opened or listed. Another file that has taken the path since is not this one.
 */
export function isOwn(path: string, stats: Stats, read: ReadText = readOnce): boolean {
  const own = process.geteuid?.()
  if (own === undefined || isOwnUser(stats.uid, own, read)) return true
  return stats.uid === own && (stats.isFile() || stats.isDirectory()) && isOwnToKernel(path, stats)
}

/** As {@link isOwn}, of what is at the path now; `false` if nothing is, or it cannot be looked at. */
export function isOwnNow(path: string): boolean {
  try {
    return isOwn(path, lstatSync(path))
  } catch {
    return false
  }
}

/** Names a user for a message. */
export function inWords(uid: number): string {
  return standsForOne(uid)
    ? `the user ${uid}`
    : `the user ${uid}, by which this user namespace shows all users that it does not map`
}

/**
 * Asks the kernel whether a file is this user's. With O_NOATIME Linux opens a file only for its owner, and for a process that may
 * act as the owner (CAP_FOWNER). The latter holds only for owners that the namespace maps, whose ids are their own.
 */
function isOwnToKernel(path: string, { dev, ino }: Stats): boolean {
  const { O_RDONLY, O_NOATIME, O_NOFOLLOW, O_NONBLOCK } = constants
  let fd: number | undefined
  try {
    fd = openSync(path, O_RDONLY | O_NOATIME | O_NOFOLLOW | O_NONBLOCK)
    const found = fstatSync(fd)
    return found.dev === dev && found.ino === ino
  } catch {
    return false
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}
