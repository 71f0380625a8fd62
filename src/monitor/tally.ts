import type { Dump, DumpKind, Skip, SkipReason } from '../dispatch/events'

/** Numbers of events since the start. */
export interface Counts {
  /** Number of dumps made, by kind. */
  readonly dumps: Readonly<Record<DumpKind, number>>
  /** Dumps that were requested and not made, by reason; a reason that has not occurred is absent. */
  readonly skips: Readonly<Partial<Record<SkipReason, number>>>
  readonly leaks: number
  readonly failures: number
}

/** Counts the events of a monitor. */
export class Tally {
  readonly #dumps = { cpu: 0, memory: 0 }
  readonly #skips: Partial<Record<SkipReason, number>> = {}
  #leaks = 0
  #failures = 0

  /** @param name - Name of the event. */
  count(name: string, payload: unknown): void {
    if (name === 'dump') this.#dumps[(payload as Dump).kind]++
    if (name === 'leak') this.#leaks++
    if (name === 'failure') this.#failures++
    if (name !== 'skip') return
    const { reason } = payload as Skip
    this.#skips[reason] = (this.#skips[reason] ?? 0) + 1
  }

  counts(): Counts {
    return {
      dumps: { ...this.#dumps },
      skips: { ...this.#skips },
      leaks: this.#leaks,
      failures: this.#failures,
    }
  }
}
