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

/** After a worker's own deadline the primary waits this long before it sends SIGKILL, ms. */
export const KILL_GRACE_MS = 2000

export interface RosterSettings {
  readonly killTimeoutMs: number
  readonly startTimeoutMs: number
}

/** The workers of a cluster, and the actions that were ordered since they were last taken. */
export class Roster {
  readonly #slots = new Map<WorkerKey, Slot>()
  #actions: ClusterAction[] = []
  #lastKey = 0

  constructor(private readonly settings: RosterSettings) {}

  get slots(): ReadonlyMap<WorkerKey, Slot> {
    return this.#slots
  }

  /** Workers that serve, but for those that are about to end by SIGKILL. */
  ready(): readonly ReadySlot[] {
    return [...this.#slots.values()].filter((slot) => slot.state === 'ready' && !slot.killed) as ReadySlot[]
  }

  /** How many hold a place of the cluster, or will. */
  holding(): number {
    return [...this.#slots.values()].filter(isHolding).length
  }

  fork(expects: ReadonlySet<string>, now: number): WorkerKey {
    const key = ++this.#lastKey
    this.put(startingSlot(key, now, { expects, startBy: now + this.settings.startTimeoutMs }))
    this.#actions.push({ type: 'fork', key })
    return key
  }

  /** Puts a worker's new state in the place of its last one. */
  put(slot: Slot): void {
    this.#slots.set(slot.key, slot)
  }

  remove(key: WorkerKey): void {
    this.#slots.delete(key)
  }

  drain(slot: HoldingSlot, reason: DrainReason, now: number, recycling?: Recycling): void {
    this.retire(slot, 'draining', now, recycling)
    // Before the order: what listens can leave the worker out before it drains.
    this.report({ name: 'drain', key: slot.key, reason, rssBytes: slot.rssBytes })
    this.#actions.push({ type: 'drain', key: slot.key, reason })
  }

  /** The worker gives up its place and has as long as one that drains. */
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

  /** The last worker is gone. */
  finish(): void {
    this.#actions.push({ type: 'finished' })
  }

  takeActions(): readonly ClusterAction[] {
    const actions = this.#actions
    this.#actions = []
    return actions
  }
}
