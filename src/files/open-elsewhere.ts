import { type BigIntStats, readdirSync, statSync } from 'node:fs'

/**
 * Whether another process of this user has the file open, as a forked child has the one that it writes. `false` where the system
 * does not show that: there no child is forked.
 */
export function isOpenElsewhere(path: string): boolean {
  const file = look(path)
  return file !== undefined && numbersIn('/proc').some((pid) => pid !== process.pid && holds(pid, file))
}

function holds(pid: number, file: BigIntStats): boolean {
  const directory = `/proc/${pid}/fd`
  // That of another user cannot be listed, and of a large machine it saves most of the work.
  if (Number(look(`/proc/${pid}`)?.uid) !== process.geteuid?.()) return false
  return numbersIn(directory).some((fd) => {
    const found = look(`${directory}/${fd}`)
    return found?.ino === file.ino && found.dev === file.dev
  })
}

function numbersIn(directory: string): number[] {
  try {
    return readdirSync(directory)
      .map(Number)
      .filter((number) => Number.isInteger(number))
  } catch {
    return []
  }
}

function look(path: string): BigIntStats | undefined {
  try {
    return statSync(path, { bigint: true })
  } catch {
    return undefined
  }
}
