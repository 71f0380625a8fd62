import { readdirSync, statSync } from 'node:fs'

/**
 * Whether any process of this user has an open file descriptor for which `matches` returns `true`. Processes of other
 * users are left out: an ordinary user cannot list their descriptors. `false` where there is no /proc.
 *
 * @param matches - Called with a path such as `/proc/1/fd/3`, and the process id. An error it throws counts as no
 * match: the descriptor was closed in the meantime.
 */
export function hasDescriptor(matches: (path: string, pid: number) => boolean): boolean {
  const uid = process.geteuid?.()
  return numbersIn('/proc').some((pid) => {
    const directory = `/proc/${pid}`
    // Processes of other users are skipped early: on a large machine they are the majority.
    if (!isTrue(() => statSync(directory).uid === uid)) return false
    return numbersIn(`${directory}/fd`).some((fd) => isTrue(() => matches(`${directory}/fd/${fd}`, pid)))
  })
}

function numbersIn(directory: string): readonly number[] {
  try {
    return readdirSync(directory)
      .map(Number)
      .filter((number) => Number.isInteger(number))
  } catch {
    return []
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
