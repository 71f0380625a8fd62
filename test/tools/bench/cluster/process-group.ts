import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'

const LONGEST_MS = 5000

/** Ends a process that leads a group, and all of its group. */
export function killGroup(leader: number | undefined): void {
  // 0 would be this process's own group.
  if (!leader) return
  try {
    process.kill(-leader, 'SIGKILL')
  } catch {
    // Nobody is left in it.
  }
}

/** Waits until processes are gone. Throws when one stays. */
export async function allGone(pids: readonly number[]): Promise<void> {
  const giveUpAt = performance.now() + LONGEST_MS
  while (pids.some(isRunning)) {
    if (performance.now() > giveUpAt) throw new Error(`still running: ${pids.filter(isRunning).join(', ')}`)
    await pause(50)
  }
}

/** One that has ended and that nobody has waited for, as in a container without an init, runs no more. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}
