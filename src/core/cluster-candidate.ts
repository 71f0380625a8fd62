import type { Slot } from './cluster-slot'

/** Why a worker is replaced. */
export type RecycleReason = 'over' | 'hard-limit' | 'asked'

/** The next worker to replace. */
export interface Candidate {
  readonly slot: Slot
  readonly reason: RecycleReason
  /** Does not wait for the spacing between replacements. */
  readonly urgent: boolean
}

export interface MemoryLimits {
  readonly limitBytes: number
  /** 0: none. */
  readonly hardLimitBytes: number
}

/** A worker that has said nothing for so many of the primary's readings is taken for hung. */
export const SILENT_READINGS = 3

/**
 * Chooses whom to replace next: first who is above the hard limit, then who was asked to leave, then who is over the
 * limit; the largest first. A worker that was born above a limit is passed over: its replacement would be no smaller.
 */
export function chooseCandidate(ready: readonly Slot[], limits: MemoryLimits): Candidate | undefined {
  const largestFirst = [...ready].sort((a, b) => b.rssBytes - a.rssBytes)
  const hard = largestFirst.find((slot) => isOverHardLimit(slot, limits))
  if (hard) return { slot: hard, reason: 'hard-limit', urgent: true }
  const asked = largestFirst.find((slot) => slot.askedToLeave)
  if (asked) return { slot: asked, reason: 'asked', urgent: true }
  const over = largestFirst.find((slot) => slot.over && !isUnreachable(slot, limits))
  return over && { slot: over, reason: 'over', urgent: false }
}

/** Born above the limit: replacing it cannot help. */
export function isUnreachable(slot: Slot, limits: MemoryLimits): boolean {
  return slot.birthRssBytes >= limits.limitBytes
}

/** Too large and silent: it will not hear an order to drain either. */
export function isHung(slot: Slot, limits: MemoryLimits): boolean {
  return isOverHardLimit(slot, limits) && slot.silentReadings >= SILENT_READINGS
}

function isOverHardLimit(slot: Slot, { hardLimitBytes }: MemoryLimits): boolean {
  return hardLimitBytes > 0 && slot.rssBytes > hardLimitBytes && slot.birthRssBytes < hardLimitBytes
}
