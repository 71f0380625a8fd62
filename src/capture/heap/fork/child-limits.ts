import type { ForkOptions } from './helper'

/** Niceness of the forked child, added to the application's: the snapshot is not urgent. */
export const CHILD_NICENESS = 10
/** Time after the child's deadline until the kernel ends the child, s. A parent that is alive ends it at the deadline itself. */
const ALARM_GRACE_S = 5

/** Returns the limits that the kernel enforces on a forked child with this deadline and this memory allowance. */
export function limitsOfChild(
  deadlineMs: number,
  dataAllowanceBytes: number,
  isKilledAsOne: boolean,
): Omit<ForkOptions, 'ignoredSignal'> {
  return {
    dataAllowanceBytes,
    deadlineSeconds: Math.ceil(deadlineMs / 1000) + ALARM_GRACE_S,
    niceness: CHILD_NICENESS,
    // If the kernel kills all processes of a cgroup together, the child must not be chosen first: with it the application
    // would die, even if another cgroup has used up the machine's memory.
    firstForOomKiller: !isKilledAsOne,
  }
}
