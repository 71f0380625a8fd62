/** A child that waits on a lock and uses no CPU for so long waits for a thread that a fork does not copy, ms. */
export const STALLED_AFTER_MS = 3000
/** One that sleeps elsewhere may wait for a slow file system: one in user space (FUSE) sleeps as others wait for a disk, ms. */
export const ASLEEP_AFTER_MS = 30_000

/** What is seen of the child at one moment. */
export interface ChildSight {
  /** Monotonic ms. */
  readonly atMs: number
  /** What it does; `undefined` where /proc does not show it. */
  readonly usage: ChildUse | undefined
  /** What can still be allocated before a limit or the end of the machine is reached, bytes. */
  readonly availableBytes: number
}

export interface ChildUse {
  /** CPU time used so far, in any unit. */
  readonly cpu: number
  /** The kernel's letter for what it does: R runs, S sleeps, D waits for a disk, T is stopped. */
  readonly state: string
  /** Whether it waits on a lock. Not every system tells. */
  readonly isLocked: boolean
  /** Anonymous memory of the child, what it still shares with the application counted in, bytes. */
  readonly anonymousBytes: number
}

/** Why a child has to be ended: it waits for nobody, it eats what the application needs, or its time is over. */
export type ChildVerdict = 'stalled' | 'hungry' | 'late'

/** Judges a forked child while it works: from what is seen of it at one moment after another. */
export class ChildWatch {
  readonly #startedAtMs: number
  readonly #deadlineMs: number
  readonly #reserveBytes: number
  readonly #allowanceBytes: number
  #anonymousAtFirst: number | undefined
  #cpu = -1
  #progressAtMs: number

  /**
   * @param startedAtMs - When the child was forked, monotonic ms.
   * @param deadlineMs - How long it may take in all.
   * @param reserveBytes - What must stay available for the application.
   * @param allowanceBytes - What the child may have beyond what it was born with. The kernel's own limit (RLIMIT_DATA) counts
   * address space; this counts memory.
   */
  constructor(startedAtMs: number, deadlineMs: number, reserveBytes: number, allowanceBytes: number) {
    this.#startedAtMs = startedAtMs
    this.#deadlineMs = deadlineMs
    this.#reserveBytes = reserveBytes
    this.#allowanceBytes = allowanceBytes
    this.#progressAtMs = startedAtMs
  }

  /** @returns What to end it for, or `undefined`: it may go on. */
  judge({ atMs, usage, availableBytes }: ChildSight): ChildVerdict | undefined {
    if (availableBytes < this.#reserveBytes) return 'hungry'
    if (atMs - this.#startedAtMs > this.#deadlineMs) return 'late'
    return usage && this.#judgeUse(usage, atMs)
  }

  #judgeUse({ cpu, state, isLocked, anonymousBytes }: ChildUse, atMs: number): ChildVerdict | undefined {
    this.#anonymousAtFirst ??= anonymousBytes
    if (anonymousBytes - this.#anonymousAtFirst > this.#allowanceBytes) return 'hungry'
    // Only sleep without CPU is a stall: who waits for a disk or for the CPU, or was stopped, can go on by itself.
    if (cpu !== this.#cpu || state !== 'S') this.#progressAtMs = atMs
    this.#cpu = cpu
    const mostMs = isLocked ? STALLED_AFTER_MS : ASLEEP_AFTER_MS
    return atMs - this.#progressAtMs >= mostMs ? 'stalled' : undefined
  }
}
