import type { ReadySlot } from './slot'

/** The next worker to replace. `urgent`: the delay after workers that exceeded the limit too soon does not apply to it. */
export type Candidate =
  | { readonly slot: ReadySlot; readonly reason: 'hard-limit' | 'asked'; readonly urgent: true }
  | {
      readonly slot: ReadySlot
      readonly reason: 'over'
      readonly urgent: false
      /** Time at which the worker asked to be replaced, monotonic ms. */
      readonly overAt: number
    }

export interface MemoryLimits {
  readonly limitBytes: number
  /** The hard limit, bytes; 0: none. */
  readonly hardLimitBytes: number
}

/** A worker above the hard limit counts as hung if it sent no message during this many memory readings by the primary. */
export const SILENT_READINGS = 3

/**
 * Chooses the worker to replace next: a worker above the hard limit, else one that was asked to leave, else one above the
 * limit; of several, the one that uses most memory. A worker that reached a limit as soon as it had started is not chosen
 * for that limit, because its replacement would use as much memory.
 */
export function chooseCandidate(ready: readonly ReadySlot[], limits: MemoryLimits): Candidate | undefined {
  const largestFirst = [...ready].sort((a, b) => b.rssBytes - a.rssBytes)
  const hard = largestFirst.find((slot) => isOverHardLimit(slot, limits))
  if (hard) return { slot: hard, reason: 'hard-limit', urgent: true }
  const asked = largestFirst.find((slot) => slot.askedToLeave)
  if (asked) return { slot: asked, reason: 'asked', urgent: true }
  for (const slot of largestFirst) {
    const { overAt } = slot
    if (overAt !== undefined && !isUnreachable(slot, limits)) {
      return { slot, reason: 'over', urgent: false, overAt }
    }
  }
  return undefined
}

/** Whether the worker reached the limit as soon as it had started, so that replacing it cannot help. */
export function isUnreachable(slot: ReadySlot, limits: MemoryLimits): boolean {
  return slot.birthRssBytes >= limits.limitBytes
}

/** Whether the worker is above the hard limit and hangs, so that it would not act on an order to drain either. */
export function isHung(slot: ReadySlot, limits: MemoryLimits): boolean {
  return isOverHardLimit(slot, limits) && slot.silentReadings >= SILENT_READINGS
}

function isOverHardLimit(slot: ReadySlot, { hardLimitBytes }: MemoryLimits): boolean {
  return hardLimitBytes > 0 && slot.rssBytes > hardLimitBytes && slot.birthRssBytes < hardLimitBytes
}
