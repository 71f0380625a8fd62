import { readdirSync, statSync } from 'node:fs'

/**
 * Whether a process of this user has a descriptor that matches. Other users' descriptors cannot be listed. `false` where there is
 * no /proc.
 *
 * @param matches - Gets the path of a descriptor in /proc, and the process. Where it throws, the descriptor was closed meanwhile.
 */
export function hasDescriptor(matches: (path: string, pid: number) => boolean): boolean {
  const uid = process.geteuid?.()
  return numbersIn('/proc').some((pid) => {
    const directory = `/proc/${pid}`
    // Of a large machine this saves most of the work.
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

/** A process may end, and a descriptor be closed, at any moment. */
function isTrue(look: () => boolean): boolean {
  try {
    return look()
  } catch {
    return false
  }
}
