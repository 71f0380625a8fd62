import { opendirSync } from 'node:fs'
import { ownOnly } from './globals'
import { isOwnNow } from './own-user'
import { pause } from './time'

/**
 * Largest number of processes and descriptors, counted together, that one call looks at. If this process runs as root, any user
 * can start processes that count as root's, such as `su` waiting for a password, and let each inherit as many descriptors as it
 * may have. Without a limit, all of them would be looked at.
 */
export const MOST_LOOKS = 100_000
/** Number of processes and descriptors looked at in one step. Between two steps, other work of the event loop can run. */
const LOOKS_AT_A_TIME = 256

/**
 * Calls `isEnough` for each open file descriptor of each process of this user, until it returns `true`. Leaves out the
 * processes of other users, because an ordinary user cannot list their descriptors. Does nothing where there is no /proc. Never
 * rejects.
 *
 * @param isEnough - Receives a path such as `/proc/1/fd/3`, and the process id; returns `true` to end the search. If it throws,
 * the next descriptor follows: this one may have been closed in the meantime.
 * @param most - Largest number of processes and descriptors, counted together, to look at.
 * @returns `false` when the search was given up after `most` of them, so that the remaining descriptors are unknown.
 */
export async function lookAtDescriptors(
  isEnough: (path: string, pid: number) => boolean,
  most = MOST_LOOKS,
): Promise<boolean> {
  const looks = eachLook(isEnough)
  for (let count = 1; ; count++) {
    const { done } = looks.next()
    if (done) return true
    if (count >= most) {
      looks.return()
      return false
    }
    if (count % LOOKS_AT_A_TIME === 0) await pause(0)
  }
}

/** Calls `isEnough` for each descriptor. Yields for each process and each descriptor, so that the caller can count and pause. */
function* eachLook(isEnough: (path: string, pid: number) => boolean): Generator<undefined, void> {
  for (const pid of numbersIn('/proc')) {
    yield
    const directory = `/proc/${pid}`
    // Processes of other users are skipped early: on a large machine they are the majority.
    if (!isOwnNow(directory)) continue
    for (const fd of numbersIn(`${directory}/fd`)) {
      yield
      if (isTrue(() => isEnough(`${directory}/fd/${fd}`, pid))) return
    }
  }
}

/** Yields the names in a directory that are integers. Reads it entry by entry: to list a million descriptors takes a second. */
function* numbersIn(path: string): Generator<number, void> {
  let directory
  try {
    directory = opendirSync(path, ownOnly({ bufferSize: LOOKS_AT_A_TIME }))
  } catch {
    return
  }
  try {
    for (let entry = directory.readSync(); entry !== null; entry = directory.readSync()) {
      const number = Number(entry.name)
      if (Number.isInteger(number)) yield number
    }
  } catch {
    // The process has ended.
    return
  } finally {
    directory.closeSync()
  }
}

/** Returns the result of `look`, or `false` if it throws: a process may end, and a descriptor may be closed, at any moment. */
function isTrue(look: () => boolean): boolean {
  try {
    return look()
  } catch {
    return false
  }
}
