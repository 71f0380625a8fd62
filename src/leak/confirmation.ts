import type { GrowingSite, SiteHolding } from '../capture/heap/allocation-sites'
import { type Climb, duration, type GcReading, megabytes } from './trend'

/** Heap in use, by allocation site (the call path that allocated the objects). */
export interface Holdings {
  /** Number of starts of V8's heap sampler. Each start numbers call paths and samples anew, so two runs cannot be compared. */
  readonly run: number
  /** Key: V8's number of the call path. */
  readonly byPath: ReadonlyMap<number, SiteHolding>
}

/** A leak that is to be reported. */
export interface ConfirmedLeak extends Climb {
  /** Allocation sites that grew, the largest growth first; empty when allocations are not sampled. */
  readonly sites: readonly GrowingSite[]
  /**
   * What confirms the leak. `sites`: allocation sites that freed nothing account for most of the growth. `growth`: no site
   * confirms it, but the heap kept growing. `none`: nothing, because allocations are not sampled.
   */
  readonly confirmedBy: 'sites' | 'growth' | 'none'
}

/**
 * An allocation site counts as having freed nothing if it still holds at least this share, 0 to 1, of its earlier samples.
 * The share is less than 1, because samples include garbage.
 */
export const KEPT_SHARE = 0.8
/** A leak is confirmed if allocation sites that freed nothing account for at least this share, 0 to 1, of all growth. */
export const EXPLAINED_SHARE = 0.5
/**
 * While no allocation site confirms a leak, the sites are read again each time that the heap has grown further by this
 * share, 0 to 1, of the climb (the growth that looks like a leak).
 */
export const NEXT_LOOK_SHARE = 1 / 3
/**
 * Growth of the heap that no allocation site confirms is reported when it has lasted this long, ms, and has reached
 * {@link UNCONFIRMED_GROWTH}: most services have a low of load each day. It is reported earlier if a second climb (a further
 * steady growth) follows.
 */
export const UNCONFIRMED_MS = 24 * 3_600_000
/** Growth that no allocation site confirms is reported after {@link UNCONFIRMED_MS} if it is this multiple of its first size. */
export const UNCONFIRMED_GROWTH = 3
/** Maximum number of allocation sites in the report of a leak. */
export const SITES_NAMED = 5

/** A climb (a steady growth of the heap) that is large enough for a leak, but that no allocation site has confirmed yet. */
interface Waiting {
  readonly climb: Climb
  /** The sites as they were read last. */
  before: Holdings
  /** Heap at which the sites are read again, bytes. */
  nextLookBytes: number
}

/**
 * Decides from the allocation sites whether a climb (a steady growth of the heap) is a leak. The heap's size alone
 * cannot distinguish a leak from load that rises for hours, such as the sessions of a morning. Under load, the objects
 * of an hour ago have been freed; a leak keeps each of them. So the sites are read once when the trend suspects a leak,
 * and again when the trend reports it. Sites that grew and still hold their earlier objects confirm the leak.
 *
 * Reading the sites forces a full GC as a rule, so they are not read without such a suspicion. An unconfirmed climb is dropped when the
 * heap has lost half of the growth. It is reported when it has lasted a day and tripled, or when a second climb follows.
 */
export class LeakConfirmation {
  readonly #readHoldings: () => Holdings | undefined
  #suspected: { readonly before: Holdings; readonly startBytes: number } | undefined
  #waiting: Waiting | undefined

  /** @param readHoldings - Reads the sites, as a rule after a forced full GC; returns `undefined` when allocations are not sampled. */
  constructor(readHoldings: () => Holdings | undefined) {
    this.#readHoldings = readHoldings
  }

  /**
   * Processes a reading of the heap. To be called for each reading.
   *
   * @param climb - The climb that `LeakTrend` has found with this reading, if any.
   * @returns A leak if one is to be reported now. Each leak is returned once.
   */
  take(reading: GcReading, climb: Climb | undefined): ConfirmedLeak | undefined {
    if (this.#suspected !== undefined && reading.usedBytes < this.#suspected.startBytes)
      this.#suspected = undefined
    if (climb?.isLeak) return this.#judge(reading, climb)
    if (this.#waiting !== undefined) return this.#wait(reading, this.#waiting)
    if (climb !== undefined) this.#suspect(climb)
    return undefined
  }

  #suspect({ startBytes }: Climb): void {
    if (this.#suspected !== undefined) return
    const before = this.#readHoldings()
    if (before !== undefined) this.#suspected = { before, startBytes }
  }

  #judge(reading: GcReading, climb: Climb): ConfirmedLeak | undefined {
    const before = this.#waiting?.before ?? this.#suspected?.before
    const hasWaited = this.#waiting !== undefined
    this.#forget()
    const after = this.#readHoldings()
    if (after === undefined) return { ...climb, sites: [], confirmedBy: 'none' }
    const { isConfirmed, keepers, growing } = compare(before, after)
    if (isConfirmed) return { ...climb, sites: keepers, confirmedBy: 'sites' }
    // Report a second climb even unconfirmed: it starts above the first, and the heap has not lost half of the first in between.
    if (hasWaited) return { ...climb, sites: growing, confirmedBy: 'growth' }
    this.#waiting = { climb, before: after, nextLookBytes: nextLookBytes(reading, climb) }
    return undefined
  }

  #wait(reading: GcReading, waiting: Waiting): ConfirmedLeak | undefined {
    const { climb } = waiting
    if (reading.usedBytes < climb.startBytes + climb.growthBytes / 2) this.#forget()
    if (reading.usedBytes < waiting.nextLookBytes) return undefined
    const after = this.#readHoldings()
    const { isConfirmed, keepers, growing } = compare(waiting.before, after ?? waiting.before)
    const grown = grownTo(reading, climb)
    const isLasting =
      grown.endMs - grown.startMs >= UNCONFIRMED_MS &&
      grown.growthBytes >= UNCONFIRMED_GROWTH * climb.growthBytes
    if (isConfirmed || isLasting || after === undefined) {
      this.#forget()
      if (isConfirmed) return { ...grown, sites: keepers, confirmedBy: 'sites' }
      return { ...grown, sites: growing, confirmedBy: after === undefined ? 'none' : 'growth' }
    }
    waiting.before = after
    waiting.nextLookBytes = nextLookBytes(reading, climb)
    return undefined
  }

  #forget(): void {
    this.#suspected = undefined
    this.#waiting = undefined
  }
}

/** A climb that is reported later than it was found: with its growth up to the present reading. */
function grownTo({ atMs, usedBytes }: GcReading, climb: Climb): Climb {
  const growthBytes = usedBytes - climb.startBytes
  const total = `${megabytes(growthBytes)} MB in ${duration(atMs - climb.startMs)} by now`
  return { ...climb, endMs: atMs, growthBytes, reason: `${climb.reason}; ${total}` }
}

function nextLookBytes({ usedBytes }: GcReading, { growthBytes }: Climb): number {
  return usedBytes + NEXT_LOOK_SHARE * growthBytes
}

interface Change {
  readonly isConfirmed: boolean
  /** Sites that grew and freed nothing (kept at least `KEPT_SHARE`), the largest growth first; at most `SITES_NAMED`. */
  readonly keepers: readonly GrowingSite[]
  /** Sites that hold more than at the earlier reading, those with the largest growth first; at most `SITES_NAMED`. */
  readonly growing: readonly GrowingSite[]
}

const UNKNOWN: Change = { isConfirmed: false, keepers: [], growing: [] }

function compare(before: Holdings | undefined, after: Holdings): Change {
  return before?.run === after.run ? compareRun(before.byPath, after.byPath) : UNKNOWN
}

function compareRun(before: Holdings['byPath'], after: Holdings['byPath']): Change {
  const keepers: GrowingSite[] = []
  const growing: GrowingSite[] = []
  let totalBytes = 0
  for (const [path, holding] of after) {
    const earlier = before.get(path)
    const growth = bytesOf(holding) - (earlier ? bytesOf(earlier) : 0)
    totalBytes += growth
    if (growth <= 0) continue
    const site = { functionName: holding.functionName, url: holding.url, line: holding.line, growth }
    growing.push(site)
    if (earlier && keptShare(earlier, holding) >= KEPT_SHARE) keepers.push(site)
  }
  for (const [path, earlier] of before) if (!after.has(path)) totalBytes -= bytesOf(earlier)
  const keptBytes = keepers.reduce((sum, { growth }) => sum + growth, 0)
  const isConfirmed = totalBytes > 0 && keptBytes >= EXPLAINED_SHARE * totalBytes
  return { isConfirmed, keepers: largestSites(keepers), growing: largestSites(growing) }
}

function keptShare(before: SiteHolding, after: SiteHolding): number {
  const alive = new Set(after.samples.map(([ordinal]) => ordinal))
  const kept = before.samples.filter(([ordinal]) => alive.has(ordinal))
  return kept.length / before.samples.length
}

function bytesOf({ samples }: SiteHolding): number {
  return samples.reduce((sum, [, bytes]) => sum + bytes, 0)
}

/** Merges call paths that end at the same function and line into one site. @returns The sites with the largest growth. */
function largestSites(paths: readonly GrowingSite[]): GrowingSite[] {
  const sites = new Map<string, GrowingSite>()
  for (const path of paths) {
    const key = `${path.functionName}\n${path.url}\n${path.line}`
    sites.set(key, { ...path, growth: path.growth + (sites.get(key)?.growth ?? 0) })
  }
  return [...sites.values()].sort((a, b) => b.growth - a.growth).slice(0, SITES_NAMED)
}
