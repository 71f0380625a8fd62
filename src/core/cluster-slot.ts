import type { RecycleReason } from './cluster-candidate'

/** The reconciler's own number for a worker, given before the worker is forked. */
export type WorkerKey = number

/**
 * - starting: forked, not yet serving
 * - ready: serving
 * - draining: told to go; accepts nothing, finishes what it has
 * - leaving: drained and may still write evidence, or cut off from the primary and may still finish what it has; counts for
 *   nothing
 */
export type SlotState = 'starting' | 'ready' | 'draining' | 'leaving'

/** What the primary knows about one worker. Times are monotonic ms. */
export interface Slot {
  readonly key: WorkerKey
  state: SlotState
  readonly bornAt: number
  /** Forked as a replacement and not yet counted: the one that it replaces still serves. */
  surge: boolean
  /** It is ready once it listens on these. */
  readonly expects: ReadonlySet<string>
  /** Where it listens now. */
  readonly addresses: Set<string>
  /** It has called `run`. */
  joined: boolean
  /** Its `runFunc` is done. */
  announced: boolean
  readyAt: number | undefined
  /** It has lived long enough to reset the count of crashes. */
  proven: boolean
  /** Resident set when it became ready. */
  birthRssBytes: number
  /** Latest known resident set. */
  rssBytes: number
  /** It asked to be replaced for its memory. */
  over: boolean
  /** Since when. It may have to wait for its turn: how soon it asked is what tells thrashing. */
  overAt: number | undefined
  /** It was sent a SIGTERM of its own. */
  askedToLeave: boolean
  /** Readings by the primary since its last word. */
  silentReadings: number
  /** It gets SIGKILL when it has not become ready by then. */
  startBy: number
  /** Its channel has closed, and if it is still there by then it is counted as lost. */
  lostAt: number | undefined
  /** It gets SIGKILL when it is still there by then. */
  killAt: number | undefined
  killed: boolean
  /** Set while and after it is replaced on purpose. */
  recycling: Recycling | undefined
}

/** Why and since when a worker is on its way out. */
export interface Recycling {
  readonly reason: RecycleReason
  readonly orderedAt: number
  /** Its resident set when the order was given. */
  readonly rssBytes: number
}

export function newSlot(
  key: WorkerKey,
  now: number,
  given: Pick<Slot, 'surge' | 'expects' | 'startBy'>,
): Slot {
  return {
    key,
    state: 'starting',
    bornAt: now,
    addresses: new Set(),
    joined: false,
    announced: false,
    readyAt: undefined,
    proven: false,
    birthRssBytes: 0,
    rssBytes: 0,
    over: false,
    overAt: undefined,
    askedToLeave: false,
    silentReadings: 0,
    lostAt: undefined,
    killAt: undefined,
    killed: false,
    recycling: undefined,
    ...given,
  }
}

/** From here on nothing new reaches it, and that its channel has closed means no more. */
export function endService(slot: Slot, state: 'draining' | 'leaving'): void {
  slot.state = state
  slot.lostAt = undefined
}

/** Counts towards the cluster's size: it serves or is about to, and it stands in for nobody. */
export function isServing(slot: Slot): boolean {
  return !slot.surge && (slot.state === 'starting' || slot.state === 'ready')
}

export function missingAddresses(slot: Slot): readonly string[] {
  return [...slot.expects].filter((address) => !slot.addresses.has(address))
}

/**
 * What the successor of a worker is to listen on: what this one listens on now, but for what none of the others does. A
 * port or a socket file of its own, named for its id, is nothing that another process could take over.
 */
export function sharedAddresses(slot: Slot, ready: readonly Slot[]): ReadonlySet<string> {
  const others = ready.filter((other) => other !== slot && other.addresses.size > 0)
  if (others.length === 0) return new Set(slot.addresses)
  return new Set(
    [...slot.addresses].filter((address) => others.some((other) => other.addresses.has(address))),
  )
}
