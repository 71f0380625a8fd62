import type { RecycleReason, WorkerKey } from './events'

/**
 * State of a worker.
 *
 * - starting: forked, not yet serving
 * - ready: serving
 * - draining: ordered to leave; accepts no more connections, finishes its work
 * - leaving: drained and still writing a dump, or cut off from the primary and still finishing its work
 */
export type SlotState = 'starting' | 'ready' | 'draining' | 'leaving'

/** State of one worker in the primary. Times are monotonic ms. */
export type Slot = StartingSlot | ReadySlot | OutgoingSlot

/** A worker that counts towards the wanted number of workers: it serves, or is starting. */
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
  /** Whether the worker was sent SIGKILL. Such a worker does not count as ready, and does not become ready. */
  killed: boolean
}

interface AnyHoldingSlot extends AnySlot {
  askedToLeave: boolean
  /** Time from which the worker counts as lost if it still exists; `undefined` while its channel to the primary is open. */
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
  /** Time at which the number of crashes in a row is set to 0 if the worker still lives; `undefined` after that. */
  proveAt: number | undefined
  /**
   * Time at which the worker asked to be replaced because it is above the limit; `undefined` when it is not above it. Its
   * lifetime (option `minLifetime`) ends at this time, because it may wait long for its replacement.
   */
  overAt: number | undefined
}

export interface OutgoingSlot extends AnySlot {
  readonly state: 'draining' | 'leaving'
  /** Time at which the worker gets SIGKILL if it still exists. */
  killAt: number
  /** Why and since when the worker is being replaced; `undefined` when it is not, because it was lost or the cluster stops. */
  readonly recycling: Recycling | undefined
}

/** Why a worker is replaced, and since when: the time when it was ordered to drain, and its memory at that time. */
export interface Recycling {
  readonly reason: RecycleReason
  readonly orderedAt: number
  /** Resident set when the worker was ordered to drain, bytes. */
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

/** Returns the state of a worker that leaves the cluster: it gets no new connections, and its channel may close. */
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

/** Whether the worker is above the limit, or leaves because it was above that or above `hardLimit`. */
export function isOver(slot: Slot): boolean {
  if (slot.state === 'ready') return slot.overAt !== undefined
  const reason = isHolding(slot) ? undefined : slot.recycling?.reason
  return reason === 'over' || reason === 'hard-limit'
}

export function missingAddresses(slot: Slot): readonly string[] {
  return [...slot.expects].filter((address) => !slot.addresses.has(address))
}

/**
 * Returns the addresses on which the successor of a worker must listen: those on which another worker listens too, or all of
 * the worker's addresses when no other worker listens. An address of this worker alone, such as a port or socket file chosen
 * by its id, is not expected of the successor.
 */
export function sharedAddresses(slot: Slot, ready: readonly Slot[]): ReadonlySet<string> {
  const others = ready.filter((other) => other.key !== slot.key && other.addresses.size > 0)
  if (others.length === 0) return new Set(slot.addresses)
  return new Set(
    [...slot.addresses].filter((address) => others.some((other) => other.addresses.has(address))),
  )
}
