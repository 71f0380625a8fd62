import type { Dump, DumpKind, DumpRule, Skip, SkipReason } from '../dispatch/events'

/** Numbers of events that the monitor has emitted since its start. */
export interface Counts {
  /** Number of dumps made, by kind. */
  readonly dumps: Readonly<Record<DumpKind, number>>
  /** Number of dumps made, by kind and by `rule` of the event. A rule without dumps is absent. */
  readonly dumpsByRule: Readonly<Record<DumpKind, Readonly<Record<string, number>>>>
  /** Number of events `'skip'` (a dump was requested and not made), by reason. A reason that has not occurred is absent. */
  readonly skips: Readonly<Partial<Record<SkipReason, number>>>
  /** Number of events `'leak'`. */
  readonly leaks: number
  /** Number of events `'failure'`. */
  readonly failures: number
}

/** Counts the events of a monitor since its start. */
export class Tally {
  readonly #dumps = { cpu: new Map<DumpRule, number>(), memory: new Map<DumpRule, number>() }
  readonly #skips: Partial<Record<SkipReason, number>> = {}
  #leaks = 0
  #failures = 0

  /** Counts an event. @param name - Name of the event, such as `dump`. */
  count(name: string, payload: unknown): void {
    if (name === 'dump') {
      const { kind, rule } = payload as Dump
      this.#dumps[kind].set(rule, (this.#dumps[kind].get(rule) ?? 0) + 1)
    }
    if (name === 'leak') this.#leaks++
    if (name === 'failure') this.#failures++
    if (name !== 'skip') return
    const { reason } = payload as Skip
    this.#skips[reason] = (this.#skips[reason] ?? 0) + 1
  }

  counts(): Counts {
    const { cpu, memory } = this.#dumps
    return {
      dumps: { cpu: sumOf(cpu), memory: sumOf(memory) },
      dumpsByRule: { cpu: Object.fromEntries(cpu), memory: Object.fromEntries(memory) },
      skips: { ...this.#skips },
      leaks: this.#leaks,
      failures: this.#failures,
    }
  }
}

function sumOf(counts: ReadonlyMap<DumpRule, number>): number {
  return [...counts.values()].reduce((sum, count) => sum + count, 0)
}
