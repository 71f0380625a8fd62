import { backoffMs, type BackoffSettings } from './backoff'
import { type Candidate, chooseCandidate, isHung, type MemoryLimits } from './candidate'
import type { WorkerKey } from './events'
import type { Roster } from './roster'
import { type ReadySlot, sharedAddresses, type Slot } from './slot'

export interface ReplacementSettings extends MemoryLimits {
  readonly count: number
  readonly minLifetimeMs: number
  readonly backoff: BackoffSettings
  /** 1: the replacement serves before the old worker drains. 0: it is forked when the old one has stopped accepting. */
  readonly maxSurge: 0 | 1
}

/** The replacement that is under way; there is at most one. */
type Lease =
  /** The replacement starts, the old worker serves. */
  | {
      readonly phase: 'starting'
      readonly old: WorkerKey
      readonly candidate: Candidate
      readonly standIn: WorkerKey
    }
  /** Without surge: the old worker drains but still accepts, nothing is forked yet. */
  | { readonly phase: 'closing'; readonly old: WorkerKey }
  /** The old worker drains, the replacement has taken its place. */
  | { readonly phase: 'draining'; readonly old: WorkerKey }

/**
 * Replaces workers on purpose, one at a time (a lease), with or without surge (one more worker for a while).
 *
 *     with surge:     begin → starting ── replacement ready ──→ draining ── old one gone, or writes its dump ──→ free
 *                                │ replacement lost, or needed for another gap
 *                                └──→ free, the old worker serves on
 *     without surge:  begin → closing ── old one accepts no more ──→ draining → free
 */
export class Replacement {
  #lease: Lease | undefined
  /** Number of replacements in a row that came too soon. */
  #thrash = 0
  /** Time before which no worker over the soft limit is replaced. */
  #spacedUntil = -Infinity
  #wakeAt: number | undefined

  constructor(
    private readonly settings: ReplacementSettings,
    private readonly roster: Roster,
    private readonly random: () => number,
  ) {}

  /** Time for which a candidate waits; `undefined` when none does. */
  get wakeAt(): number | undefined {
    return this.#wakeAt
  }

  /** The replacement that starts and does not yet hold a place: the worker that it will replace still serves. */
  get standIn(): WorkerKey | undefined {
    return this.#lease?.phase === 'starting' ? this.#lease.standIn : undefined
  }

  /** Workers that hold a place beyond the wanted number (below it: negative), while a replacement is under way. */
  get surplus(): number {
    if (this.#lease?.phase === 'starting') return 1
    return this.#lease?.phase === 'closing' ? -1 : 0
  }

  /**
   * Begins the next replacement, when no worker is missing and none is being replaced.
   *
   * @param retryAt - Earliest time after a replacement failed: that counts as a crash, with the same back-off.
   */
  begin(retryAt: number, now: number): void {
    this.#wakeAt = undefined
    const ready = this.roster.ready()
    if (ready.length < this.settings.count) this.#endHung(ready)
    if (this.#lease || ready.length < this.settings.count) return
    const candidate = chooseCandidate(ready, this.settings)
    if (!candidate) return
    const notBefore = candidate.urgent ? retryAt : Math.max(retryAt, this.#spacedUntil)
    if (now < notBefore) this.#wakeAt = notBefore
    else this.#beginLease(candidate, now)
  }

  /**
   * Ends a hung worker above the hard limit. While a worker is missing no replacement begins, so a hung worker whose
   * memory the starting ones need would stay for ever. It serves no requests, so none is lost.
   */
  #endHung(ready: readonly ReadySlot[]): void {
    for (const slot of ready) {
      if (!isHung(slot, this.settings)) continue
      const { key, rssBytes } = slot
      this.roster.report({ name: 'recycle', key, reason: 'hard-limit', rssBytes })
      this.roster.kill(slot)
    }
  }

  #beginLease(candidate: Candidate, now: number): void {
    const { slot: old, reason } = candidate
    this.roster.report({ name: 'recycle', key: old.key, reason, rssBytes: old.rssBytes })
    if (this.settings.maxSurge === 1) {
      const standIn = this.roster.fork(sharedAddresses(old, this.roster.ready()), now)
      this.#lease = { phase: 'starting', old: old.key, candidate, standIn }
    } else {
      this.#lease = { phase: 'closing', old: old.key }
      this.#sendAway(candidate, now)
    }
  }

  /** Lets the old worker go, once the replacement serves. */
  handOver(now: number): void {
    const lease = this.#lease
    if (lease?.phase !== 'starting' || this.roster.slots.get(lease.standIn)?.state !== 'ready') return
    this.#lease = { phase: 'draining', old: lease.old }
    this.#sendAway(lease.candidate, now)
  }

  #sendAway(candidate: Candidate, now: number): void {
    const { slot: old, reason } = candidate
    if (candidate.reason === 'over') this.#space(candidate.slot, candidate.overAt, now)
    const recycling = { reason, orderedAt: now, rssBytes: old.rssBytes }
    if (isHung(old, this.settings)) this.roster.kill(this.roster.retire(old, 'draining', now, recycling))
    else this.roster.drain(old, reason, now, recycling)
  }

  /** Delays the next replacement when workers grow over the limit too soon: replacing them faster does not help. */
  #space({ key, readyAt }: ReadySlot, overAt: number, now: number): void {
    const lifetimeMs = overAt - readyAt
    this.#thrash = lifetimeMs < this.settings.minLifetimeMs ? this.#thrash + 1 : 0
    const delayMs = backoffMs(this.#thrash, this.settings.backoff, this.random)
    this.#spacedUntil = now + delayMs
    if (this.#thrash > 0) this.roster.report({ name: 'thrash', key, lifetimeMs, delayMs })
  }

  /**
   * Without surge: the old worker accepts no more connections, so its place is free.
   *
   * @returns The addresses on which its successor must listen, or `undefined` when no replacement waits for this
   * worker.
   */
  close(old: Slot): ReadonlySet<string> | undefined {
    if (this.#lease?.phase !== 'closing' || this.#lease.old !== old.key) return undefined
    this.#lease = { phase: 'draining', old: old.key }
    return sharedAddresses(old, this.roster.ready())
  }

  /** Ends the replacement of a worker that has drained, and has ended or only writes its dump. */
  freeAfter(old: WorkerKey): void {
    if (this.#lease?.old === old && this.#lease.phase !== 'starting') this.#lease = undefined
  }

  /** Gives the replacement up, because the new worker is lost; the old one keeps serving. */
  failWith(standIn: WorkerKey): void {
    if (this.standIn === standIn) this.#lease = undefined
  }

  /** @returns Whether a starting replacement now fills a gap; the worker that it was to replace asks again. */
  fillGap(): boolean {
    if (this.standIn === undefined) return false
    this.#lease = undefined
    return true
  }

  stop(): void {
    this.#lease = undefined
    this.#wakeAt = undefined
  }
}
