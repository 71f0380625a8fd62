import { opendirSync, statSync } from 'node:fs'
import { ownOnly } from './globals'
import { pause } from './time'

/**
 * Most processes and descriptors that one call looks at. Another user can start processes that count as root's, such as `su` waiting
 * for a password, and let each inherit as many descriptors as it may have: without a limit, all of them would be looked at.
 */
export const MOST_LOOKS = 100_000
/** Processes and descriptors that are looked at in one step. The event loop of the thread runs between two steps. */
const LOOKS_AT_A_TIME = 256

/**
 * Looks at the open file descriptors of all processes of this user. Processes of other users are left out: an ordinary user cannot
 * list their descriptors. Where there is no /proc, there is nothing to look at. Never rejects.
 *
 * @param isEnough - Called with a path such as `/proc/1/fd/3`, and the process id; returns `true` to end the look. An error that it
 * throws is ignored: the descriptor was closed in the meantime.
 * @returns `false` when there was more than `most` to look at, so that the rest is unknown.
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

/** Yields after each process and each descriptor. */
function* eachLook(isEnough: (path: string, pid: number) => boolean): Generator<undefined, void> {
  const uid = process.geteuid?.()
  for (const pid of numbersIn('/proc')) {
    yield
    const directory = `/proc/${pid}`
    // Processes of other users are skipped early: on a large machine they are the majority.
    if (!isTrue(() => statSync(directory).uid === uid)) continue
    for (const fd of numbersIn(`${directory}/fd`)) {
      yield
      if (isTrue(() => isEnough(`${directory}/fd/${fd}`, pid))) return
    }
  }
}

/** Reads a directory entry by entry: one with a million descriptors takes a second to list. */
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
