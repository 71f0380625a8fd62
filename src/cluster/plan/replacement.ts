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

/** State of the replacement that is under way. At most one replacement is under way at a time. */
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
 * Replaces running workers, one at a time. The code calls the replacement under way the lease. With surge (`maxSurge: 1`)
 * there is one worker more during it, without surge (`maxSurge: 0`) one less.
 *
 *     with surge:     begin → starting ── replacement ready ──→ draining ── old one gone, or writes its dump ──→ free
 *                                │ replacement lost, or needed for another gap
 *                                └──→ free, the old worker serves on
 *     without surge:  begin → closing ── old one accepts no more ──→ draining → free
 */
export class Replacement {
  #lease: Lease | undefined
  /** Number of workers in a row that were replaced for exceeding the limit within `minLifetimeMs` after they were ready. */
  #thrash = 0
  /**
   * Time before which no worker is replaced for the limit, monotonic ms. Workers above the hard limit, and workers asked to
   * leave, may be replaced earlier.
   */
  #spacedUntil = -Infinity
  #wakeAt: number | undefined

  constructor(
    private readonly settings: ReplacementSettings,
    private readonly roster: Roster,
    private readonly random: () => number,
  ) {}

  /** Time until which the next replacement is delayed, monotonic ms; `undefined` when no worker waits to be replaced. */
  get wakeAt(): number | undefined {
    return this.#wakeAt
  }

  /** Key of the replacement that is starting, while the worker to be replaced still serves. */
  get standIn(): WorkerKey | undefined {
    return this.#lease?.phase === 'starting' ? this.#lease.standIn : undefined
  }

  /**
   * Difference that the replacement under way makes to the number of workers that serve or start: 1 while its new worker
   * starts beside the old one, -1 while the old worker drains and the new one is not forked yet, otherwise 0.
   */
  get surplus(): number {
    if (this.#lease?.phase === 'starting') return 1
    return this.#lease?.phase === 'closing' ? -1 : 0
  }

  /**
   * Begins the next replacement if `count` workers serve and none is being replaced. While fewer serve, because one has crashed or
   * is still starting, no replacement begins; hung workers above the hard limit are then killed at once, whatever `retryAt` is.
   *
   * @param retryAt - Earliest time of the next replacement, monotonic ms: the end of the delay after the latest crash. A
   * replacement that fails to start counts as a crash.
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
   * Kills hung workers above the hard limit. Called while fewer than `count` workers serve, because no replacement begins then: if
   * a new worker could not start for lack of the hung worker's memory, the hung worker would stay for ever. A hung worker serves
   * no requests, so no request is lost.
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

  /** Orders the old worker to drain, if its replacement serves now. */
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

  /** Delays the next replacement if this worker exceeded the limit too soon: replacing such workers faster does not help. */
  #space({ key, readyAt }: ReadySlot, overAt: number, now: number): void {
    const lifetimeMs = overAt - readyAt
    this.#thrash = lifetimeMs < this.settings.minLifetimeMs ? this.#thrash + 1 : 0
    const delayMs = backoffMs(this.#thrash, this.settings.backoff, this.random)
    this.#spacedUntil = now + delayMs
    if (this.#thrash > 0) this.roster.report({ name: 'thrash', key, lifetimeMs, delayMs })
  }

  /**
   * Must be called when a worker accepts no more connections. If it is being replaced with `maxSurge: 0`, its successor can be
   * forked now.
   *
   * @returns The addresses on which the successor must listen; `undefined` when none is to be forked for this worker.
   */
  close(old: Slot): ReadonlySet<string> | undefined {
    if (this.#lease?.phase !== 'closing' || this.#lease.old !== old.key) return undefined
    this.#lease = { phase: 'draining', old: old.key }
    return sharedAddresses(old, this.roster.ready())
  }

  /**
   * Must be called when a worker that was ordered to drain has ended, or has drained and only writes its dump. Ends the
   * replacement of this worker.
   */
  freeAfter(old: WorkerKey): void {
    if (this.#lease?.old === old && this.#lease.phase !== 'starting') this.#lease = undefined
  }

  /** Must be called when the new worker `standIn` is lost before it serves. Ends the replacement; the old worker stays. */
  failWith(standIn: WorkerKey): void {
    if (this.standIn === standIn) this.#lease = undefined
  }

  /**
   * Lets the starting replacement, if there is one, take the place of a missing worker. The worker that it was to replace
   * stays in service, and is replaced later.
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
