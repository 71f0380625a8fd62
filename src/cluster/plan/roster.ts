import type { ClusterAction, ClusterNews, DrainReason, WorkerKey } from './events'
import {
  type HoldingSlot,
  isHolding,
  type OutgoingSlot,
  outgoingSlot,
  type ReadySlot,
  type Recycling,
  type Slot,
  startingSlot,
} from './slot'

/** Time from the deadline at which a worker ends itself to the SIGKILL by which the primary ends it otherwise, ms. */
export const KILL_GRACE_MS = 2000

export interface RosterSettings {
  readonly killTimeoutMs: number
  readonly startTimeoutMs: number
}

/** The workers of a cluster, and the actions that the primary must execute, collected since the last `takeActions`. */
export class Roster {
  readonly #slots = new Map<WorkerKey, Slot>()
  #actions: ClusterAction[] = []
  #lastKey = 0

  constructor(private readonly settings: RosterSettings) {}

  get slots(): ReadonlyMap<WorkerKey, Slot> {
    return this.#slots
  }

  /** Workers that serve, except those that were sent SIGKILL. */
  ready(): readonly ReadySlot[] {
    return [...this.#slots.values()].filter((slot) => slot.state === 'ready' && !slot.killed) as ReadySlot[]
  }

  /** Number of workers that serve or are starting. */
  holding(): number {
    return [...this.#slots.values()].filter(isHolding).length
  }

  fork(expects: ReadonlySet<string>, now: number): WorkerKey {
    const key = ++this.#lastKey
    this.put(startingSlot(key, now, { expects, startBy: now + this.settings.startTimeoutMs }))
    this.#actions.push({ type: 'fork', key })
    return key
  }

  /** Adds a worker, or replaces its state. */
  put(slot: Slot): void {
    this.#slots.set(slot.key, slot)
  }

  remove(key: WorkerKey): void {
    this.#slots.delete(key)
  }

  drain(slot: HoldingSlot, reason: DrainReason, now: number, recycling?: Recycling): void {
    this.retire(slot, 'draining', now, recycling)
    // Reported before the order is sent, so that listeners can stop handing sockets to the worker before it drains.
    this.report({ name: 'drain', key: slot.key, reason, rssBytes: slot.rssBytes })
    this.order(slot.key, reason)
  }

  /** Orders a worker to drain; a worker that drains already ignores the message. */
  order(key: WorkerKey, reason: DrainReason): void {
    this.#actions.push({ type: 'drain', key, reason })
  }

  /**
   * From now on, the worker does not count as one that serves or starts. It gets SIGKILL if it has not ended after
   * `killTimeoutMs` and 2 s more.
   */
  retire(slot: HoldingSlot, state: OutgoingSlot['state'], now: number, recycling?: Recycling): OutgoingSlot {
    const outgoing = outgoingSlot(slot, state, now + this.settings.killTimeoutMs + KILL_GRACE_MS, recycling)
    this.put(outgoing)
    return outgoing
  }

  kill(slot: Slot): void {
    slot.killed = true
    this.#actions.push({ type: 'kill', key: slot.key })
  }

  report(news: ClusterNews): void {
    this.#actions.push({ type: 'report', news })
  }

  /** Reports that the last worker has ended. */
  finish(): void {
    this.#actions.push({ type: 'finished' })
  }

  takeActions(): readonly ClusterAction[] {
    const actions = this.#actions
    this.#actions = []
    return actions
  }
}

/** A missing worker, which is to be forked. */
export interface Vacancy {
  /** Earliest time of the fork, monotonic ms. */
  readonly notBefore: number
  /** Addresses on which the previous worker listened. The new worker must listen on them too before it counts as ready. */
  readonly expects: ReadonlySet<string>
}

const NOTHING: ReadonlySet<string> = new Set()

/**
 * The missing workers. Their number comes from a count of the workers that exist (see `fit`), not from a count of events. So
 * the 'exit' and the 'disconnect' of one worker, in either order, do not count as two missing workers.
 */
export class Vacancies {
  #open: Vacancy[] = []

  /** Earliest time at which a missing worker may be forked, monotonic ms; `undefined` when none is missing. */
  get nextAt(): number | undefined {
    return this.#open.length === 0 ? undefined : Math.min(...this.#open.map((vacancy) => vacancy.notBefore))
  }

  /** Adds a worker that is missing from now on. */
  open(vacancy: Vacancy): void {
    this.#open.push(vacancy)
  }

  /** Sets the number of missing workers: adds some that may be forked at once, or removes those with the latest fork times. */
  fit(missing: number, now: number): void {
    while (this.#open.length < missing) this.#open.push({ notBefore: now, expects: NOTHING })
    if (this.#open.length > missing) {
      this.#open.sort((a, b) => a.notBefore - b.notBefore)
      this.#open.length = missing
    }
  }

  /** Removes and returns the missing workers that may be forked now. */
  takeDue(now: number): readonly Vacancy[] {
    const due = this.#open.filter((vacancy) => vacancy.notBefore <= now)
    this.#open = this.#open.filter((vacancy) => vacancy.notBefore > now)
    return due
  }

  /** Sets later fork times to `notAfter`: once a worker is ready, missing workers need not wait until their delays end. */
  hasten(notAfter: number): void {
    this.#open = this.#open.map((vacancy) => ({
      ...vacancy,
      notBefore: Math.min(vacancy.notBefore, notAfter),
    }))
  }
}
