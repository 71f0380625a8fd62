import type { ChildUsage } from '../../../system/proc'

/**
 * Time after which a forked child that waits on a lock, and uses no CPU, counts as stuck, ms: it waits for a thread that
 * fork(2) did not copy.
 */
export const STUCK_AFTER_MS = 3000
/** Time after which a child that sleeps, not on a lock, and uses no CPU counts as stuck, ms: slow file systems need less. */
export const ASLEEP_AFTER_MS = 30_000

/**
 * Why a forked child left no report:
 * - `stuck`: it waits for a thread that was not copied, or crashed; another fork may succeed
 * - `out of memory`: it used memory that the application needs, could not allocate memory, or had too little to start
 * - `late`: it was past its deadline
 * - `ended`: another process ended it, other code in this process reaped it, or it was not forked, because the dump's file
 *   was gone, or because processes or open files are used up for now
 * - `failed`: it could not write the dump, or this system cannot fork it
 */
export type ChildVerdict = 'stuck' | 'out of memory' | 'late' | 'ended' | 'failed'

/** Why the guard, a timer of the parent that checks the child, ends a running child. */
export type GuardVerdict = Extract<ChildVerdict, 'stuck' | 'out of memory' | 'late'>

/** Readings of a forked child at one moment. */
export interface ChildSight {
  /** Time of the readings, monotonic ms. */
  readonly atMs: number
  /** CPU and memory of the child; `undefined` where /proc does not show them. */
  readonly usage: ChildUsage | undefined
  /** Memory that can still be allocated before a limit is reached or the machine has none left, bytes. */
  readonly availableBytes: number
}

/** The limits of a forked child. */
export interface ChildLimits {
  /** Longest time from the fork to the child's end, ms. */
  readonly deadlineMs: number
  /** Memory that must stay available for the application, bytes. */
  readonly reserveBytes: number
  /**
   * Memory that the child may use beyond its first reading after the fork, bytes. This limit counts memory in use. The kernel's
   * limit (RLIMIT_DATA), which is set too, counts address space.
   */
  readonly allowanceBytes: number
}

/** Decides from successive readings of a running child whether the child must be ended. */
export class ChildWatch {
  readonly #startedAtMs: number
  readonly #limits: ChildLimits
  #anonymousAtFirst: number | undefined
  #cpuTicks = -1
  #progressAtMs: number

  /** @param startedAtMs - When the child was forked, monotonic ms. */
  constructor(startedAtMs: number, limits: ChildLimits) {
    this.#startedAtMs = startedAtMs
    this.#limits = limits
    this.#progressAtMs = startedAtMs
  }

  /** @returns Why the child must be ended, or `undefined` if it may go on. */
  judge({ atMs, usage, availableBytes }: ChildSight): GuardVerdict | undefined {
    if (availableBytes < this.#limits.reserveBytes) return 'out of memory'
    if (atMs - this.#startedAtMs > this.#limits.deadlineMs) return 'late'
    return usage && this.#judgeUsage(usage, atMs)
  }

  #judgeUsage(
    { cpuTicks, state, isLocked, anonymousBytes }: ChildUsage,
    atMs: number,
  ): GuardVerdict | undefined {
    this.#anonymousAtFirst ??= anonymousBytes
    if (anonymousBytes - this.#anonymousAtFirst > this.#limits.allowanceBytes) return 'out of memory'
    // Only sleep (state S) without CPU use counts as stuck. A child that waits for a disk or a CPU goes on by itself, and a child
    // stopped by SIGSTOP goes on after SIGCONT.
    if (cpuTicks !== this.#cpuTicks || state !== 'S') this.#progressAtMs = atMs
    this.#cpuTicks = cpuTicks
    const mostMs = isLocked ? STUCK_AFTER_MS : ASLEEP_AFTER_MS
    return atMs - this.#progressAtMs >= mostMs ? 'stuck' : undefined
  }
}
