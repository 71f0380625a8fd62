import type { RecycleReason, WorkerKey } from './events'

/**
 * - starting: forked, not yet serving
 * - ready: serving
 * - draining: ordered to go; accepts nothing, finishes what it has
 * - leaving: drained and still writing a dump, or cut off from the primary and still finishing what it has; counts for
 *   nothing
 */
export type SlotState = 'starting' | 'ready' | 'draining' | 'leaving'

/** What the primary knows about one worker. Times are monotonic ms. */
export type Slot = StartingSlot | ReadySlot | OutgoingSlot

/** A worker that holds one of the cluster's places, or will. */
export type HoldingSlot = StartingSlot | ReadySlot

interface AnySlot {
  readonly key: WorkerKey
  readonly bornAt: number
  /** It is ready once it listens on these. */
  readonly expects: ReadonlySet<string>
  /** Where it listens now. */
  readonly addresses: Set<string>
  /** Latest known resident set. */
  rssBytes: number
  /** Readings by the primary since the worker's last message. */
  silentReadings: number
  /** It was sent SIGKILL; until it has exited it stays in its state. */
  killed: boolean
}

interface AnyHoldingSlot extends AnySlot {
  askedToLeave: boolean
  /** Its channel has closed; a worker that is still there by then counts as lost. */
  lostAt: number | undefined
}

export interface StartingSlot extends AnyHoldingSlot {
  readonly state: 'starting'
  /** It gets SIGKILL when it has not become ready by then. */
  readonly startBy: number
  /** It has called `run`. */
  joined: boolean
  /** Resident set when its `runFunc` had settled; `undefined` until then. */
  startedRssBytes: number | undefined
}

export interface ReadySlot extends AnyHoldingSlot {
  readonly state: 'ready'
  readonly readyAt: number
  /** Resident set when it became ready. */
  readonly birthRssBytes: number
  /** A worker that lives until then resets the count of crashes; `undefined` once it has. */
  proveAt: number | undefined
  /** When it asked to be replaced for its memory. It may have to wait its turn, so thrashing is judged by this time. */
  overAt: number | undefined
}

export interface OutgoingSlot extends AnySlot {
  readonly state: 'draining' | 'leaving'
  /** It gets SIGKILL when it is still there by then. */
  killAt: number
  /** Set when it is replaced on purpose. */
  readonly recycling: Recycling | undefined
}

/** Why and since when a worker is being replaced. */
export interface Recycling {
  readonly reason: RecycleReason
  readonly orderedAt: number
  /** Its resident set when the order was given. */
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

/** From now on the worker gets no new connections, and a closed channel is expected. */
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

/** Above its limit: it waits for its replacement, or goes for that reason. */
export function isOver(slot: Slot): boolean {
  if (slot.state === 'ready') return slot.overAt !== undefined
  return !isHolding(slot) && slot.recycling?.reason === 'over'
}

export function missingAddresses(slot: Slot): readonly string[] {
  return [...slot.expects].filter((address) => !slot.addresses.has(address))
}

/**
 * Where the successor of a worker must listen: the addresses on which the worker listens now and which at least one other
 * worker shares. A port or a socket file of its own, named for its id, is nothing that another process could take over.
 */
export function sharedAddresses(slot: Slot, ready: readonly Slot[]): ReadonlySet<string> {
  const others = ready.filter((other) => other.key !== slot.key && other.addresses.size > 0)
  if (others.length === 0) return new Set(slot.addresses)
  return new Set(
    [...slot.addresses].filter((address) => others.some((other) => other.addresses.has(address))),
  )
}
