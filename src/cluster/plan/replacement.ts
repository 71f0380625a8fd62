import { backoffMs, type BackoffSettings } from './backoff'
import { type Candidate, chooseCandidate, isHung, type MemoryLimits } from './candidate'
import type { WorkerKey } from './events'
import type { Roster } from './roster'
import { type ReadySlot, sharedAddresses, type Slot } from './slot'

export interface ReplacementSettings extends MemoryLimits {
  readonly count: number
  readonly minLifetimeMs: number
  readonly backoff: BackoffSettings
  /** 1: the replacement serves before the old worker drains. 0: it is forked when the old one accepts no more connections. */
  readonly maxSurge: 0 | 1
}

/** The state of the replacement that is under way; there is at most one. */
type Lease =
  /** The replacement is starting, the old worker serves. */
  | {
      readonly phase: 'starting'
      readonly old: WorkerKey
      readonly candidate: Candidate
      readonly standIn: WorkerKey
    }
  /** Only with `maxSurge: 0`: the old worker drains but still accepts connections, and its replacement is not forked yet. */
  | { readonly phase: 'closing'; readonly old: WorkerKey }
  /** The old worker drains. Its replacement serves or, with `maxSurge: 0`, may be forked now. */
  | { readonly phase: 'draining'; readonly old: WorkerKey }

/**
 * Replaces running workers, one at a time; the replacement under way is called the lease. With surge (`maxSurge: 1`) there
 * is one more worker for a while, without surge (`maxSurge: 0`) one less.
 *
 *     with surge:     begin → starting ── replacement ready ──→ draining ── old one gone, or writes its dump ──→ free
 *                                │ replacement lost, or needed for another gap
 *                                └──→ free, the old worker serves on
 *     without surge:  begin → closing ── old one accepts no more ──→ draining → free
 */
export class Replacement {
  #lease: Lease | undefined
  /** Number of replaced workers in a row that were above the limit within `minLifetimeMs` after they were ready. */
  #thrash = 0
  /** Time before which no worker above the limit is replaced, monotonic ms. It does not hold for workers above the hard limit. */
  #spacedUntil = -Infinity
  #wakeAt: number | undefined

  constructor(
    private readonly settings: ReplacementSettings,
    private readonly roster: Roster,
    private readonly random: () => number,
  ) {}

  /** Time until which the next replacement is delayed, monotonic ms; `undefined` when no worker waits for one. */
  get wakeAt(): number | undefined {
    return this.#wakeAt
  }

  /** Key of the replacement that is starting, while the worker to be replaced still serves. */
  get standIn(): WorkerKey | undefined {
    return this.#lease?.phase === 'starting' ? this.#lease.standIn : undefined
  }

  /** Number of workers that the replacement under way adds to the wanted number: 1, 0, or -1 while one is missing for it. */
  get surplus(): number {
    if (this.#lease?.phase === 'starting') return 1
    return this.#lease?.phase === 'closing' ? -1 : 0
  }

  /**
   * Begins the next replacement, when no worker is missing and none is being replaced.
   *
   * @param retryAt - Earliest time for it, monotonic ms: a failed replacement counts as a crash, with the same back-off.
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
   * Kills hung workers above the hard limit. While a worker is missing, no replacement begins: a hung worker would stay for
   * ever if the starting workers needed its memory. It serves no requests, so no request is lost.
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

  /** Drains the old worker, once its replacement serves. */
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

  /** Delays the next replacement when workers exceed the limit too soon: replacing them faster does not help. */
  #space({ key, readyAt }: ReadySlot, overAt: number, now: number): void {
    const lifetimeMs = overAt - readyAt
    this.#thrash = lifetimeMs < this.settings.minLifetimeMs ? this.#thrash + 1 : 0
    const delayMs = backoffMs(this.#thrash, this.settings.backoff, this.random)
    this.#spacedUntil = now + delayMs
    if (this.#thrash > 0) this.roster.report({ name: 'thrash', key, lifetimeMs, delayMs })
  }

  /**
   * To be called when a worker accepts no more connections. With `maxSurge: 0`, its successor can be forked now.
   *
   * @returns The addresses on which the successor must listen; `undefined` when none is to be forked for this worker.
   */
  close(old: Slot): ReadonlySet<string> | undefined {
    if (this.#lease?.phase !== 'closing' || this.#lease.old !== old.key) return undefined
    this.#lease = { phase: 'draining', old: old.key }
    return sharedAddresses(old, this.roster.ready())
  }

  /** Ends the replacement once the old worker has ended, or has drained and only writes its dump. */
  freeAfter(old: WorkerKey): void {
    if (this.#lease?.old === old && this.#lease.phase !== 'starting') this.#lease = undefined
  }

  /** Gives up the replacement, because the new worker is lost; the old one keeps serving. */
  failWith(standIn: WorkerKey): void {
    if (this.standIn === standIn) this.#lease = undefined
  }

  /**
   * Uses a starting replacement for a missing worker. The worker that it was to replace serves on, and is replaced later.
   *
   * @returns Whether a replacement was starting.
   */
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
