import type { RecycleReason, WorkerKey } from './events'

/**
 * - starting: forked, not yet serving
 * - ready: serving
 * - draining: ordered to leave; accepts no more connections, finishes its work
 * - leaving: drained and still writing a dump, or cut off from the primary and still finishing its work
 */
export type SlotState = 'starting' | 'ready' | 'draining' | 'leaving'

/** State of one worker in the primary. Times are monotonic ms. */
export type Slot = StartingSlot | ReadySlot | OutgoingSlot

/** A worker that counts as one of the cluster's: it serves, or will once it is ready. */
export type HoldingSlot = StartingSlot | ReadySlot

interface AnySlot {
  readonly key: WorkerKey
  readonly bornAt: number
  /** Addresses on which the worker must listen to be ready. */
  readonly expects: ReadonlySet<string>
  /** Addresses on which the worker listens now. */
  readonly addresses: Set<string>
  /** Latest known resident set, bytes. */
  rssBytes: number
  /** Number of memory readings by the primary since the worker's last message. */
  silentReadings: number
  /** Whether the worker was sent SIGKILL. Its state does not change before it has exited. */
  killed: boolean
}

interface AnyHoldingSlot extends AnySlot {
  askedToLeave: boolean
  /** Set when the worker's channel has closed: the time from which the worker counts as lost if it still exists. */
  lostAt: number | undefined
}

export interface StartingSlot extends AnyHoldingSlot {
  readonly state: 'starting'
  /** Time at which the worker gets SIGKILL if it is not ready. */
  readonly startBy: number
  /** Whether the worker has called `run`. */
  joined: boolean
  /** Resident set when the worker's `runFunc` had settled, bytes; `undefined` until then. */
  startedRssBytes: number | undefined
}

export interface ReadySlot extends AnyHoldingSlot {
  readonly state: 'ready'
  readonly readyAt: number
  /** Resident set when the worker's `runFunc` had settled, bytes. */
  readonly birthRssBytes: number
  /** Time at which the count of crashes is reset if the worker still lives; `undefined` after the reset. */
  proveAt: number | undefined
  /** Time at which the worker asked to be replaced for its memory. Its lifetime ends here, not with the replacement. */
  overAt: number | undefined
}

export interface OutgoingSlot extends AnySlot {
  readonly state: 'draining' | 'leaving'
  /** Time at which the worker gets SIGKILL if it still exists. */
  killAt: number
  /** Reason and start of the replacement, if the worker is replaced on purpose. */
  readonly recycling: Recycling | undefined
}

/** Reason and start of a worker's replacement. */
export interface Recycling {
  readonly reason: RecycleReason
  readonly orderedAt: number
  /** Resident set when the order was given, bytes. */
  readonly rssBytes: number
}

export function startingSlot(
  key: WorkerKey,
  now: number,
  { expects, startBy }: Pick<StartingSlot, 'expects' | 'startBy'>,
): StartingSlot {
  return {
    state: 'starting',
    key,
    bornAt: now,
    expects,
    addresses: new Set(),
    rssBytes: 0,
    silentReadings: 0,
    killed: false,
    askedToLeave: false,
    lostAt: undefined,
    startBy,
    joined: false,
    startedRssBytes: undefined,
  }
}

export function readySlot(slot: StartingSlot, readyAt: number, minUptimeMs: number): ReadySlot {
  const { key, bornAt, expects, addresses, rssBytes, silentReadings, killed, askedToLeave, lostAt } = slot
  return {
    state: 'ready',
    key,
    bornAt,
    expects,
    addresses,
    rssBytes,
    silentReadings,
    killed,
    askedToLeave,
    lostAt,
    readyAt,
    birthRssBytes: slot.startedRssBytes ?? 0,
    proveAt: readyAt + minUptimeMs,
    overAt: undefined,
  }
}

/** Returns the state of a worker that gets no new connections from now on, and whose channel may close. */
export function outgoingSlot(
  slot: Slot,
  state: OutgoingSlot['state'],
  killAt: number,
  recycling?: Recycling,
): OutgoingSlot {
  const { key, bornAt, expects, addresses, rssBytes, silentReadings, killed } = slot
  return { state, key, bornAt, expects, addresses, rssBytes, silentReadings, killed, killAt, recycling }
}

export function isHolding(slot: Slot): slot is HoldingSlot {
  return slot.state === 'starting' || slot.state === 'ready'
}

/** Whether the worker is above the limit, or leaves because it was. */
export function isOver(slot: Slot): boolean {
  if (slot.state === 'ready') return slot.overAt !== undefined
  return !isHolding(slot) && slot.recycling?.reason === 'over'
}

export function missingAddresses(slot: Slot): readonly string[] {
  return [...slot.expects].filter((address) => !slot.addresses.has(address))
}

/**
 * Addresses on which the successor of a worker must listen: those that the worker shares with another worker now, or
 * all of them when no other worker listens. An address that no other worker has, such as a port or socket file named
 * after the worker's id, cannot be taken over.
 */
export function sharedAddresses(slot: Slot, ready: readonly Slot[]): ReadonlySet<string> {
  const others = ready.filter((other) => other.key !== slot.key && other.addresses.size > 0)
  if (others.length === 0) return new Set(slot.addresses)
  return new Set(
    [...slot.addresses].filter((address) => others.some((other) => other.addresses.has(address))),
  )
}
