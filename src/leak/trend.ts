/** Heap in use just after one full (mark-sweep-compact) garbage collection. */
export interface GcReading {
  /** When it was taken, monotonic ms. */
  readonly atMs: number
  /** Heap that survived the collection, bytes. */
  readonly usedBytes: number
}

/** A climb of the heap that the rule takes for a leak. */
export interface Leak {
  /** When the first floor of the climb was read, monotonic ms. */
  readonly startMs: number
  /** When its last floor was read, monotonic ms. */
  readonly endMs: number
  /** From the first floor to the last, bytes. */
  readonly growthBytes: number
  /** Growth, time, projection per hour and the floors, in words. */
  readonly reason: string
}

/** The numbers of the rule of {@link LeakTrend}. */
export interface LeakRule {
  /** Readings in this time after the start do not count, ms. */
  readonly warmUpMs: number
  /** A round lasts at least this long, ms. */
  readonly roundMs: number
  /** A round has at least this many readings. */
  readonly readingsPerRound: number
  /** So many floors in a row must each be above the one before. */
  readonly rises: number
  /** Each rise must be at least this share of the whole climb: a straight line has 1 / `rises`, a plateau nothing. */
  readonly riseShare: number
  /** A climb must be at least this high, bytes ... */
  readonly growthBytes: number
  /** ... and at least this share of the level it starts from. */
  readonly growthShare: number
}

/**
 * The rule in use. The earliest verdict comes 35 minutes after the start: what fills the memory faster than that is
 * caught by the memory threshold, and start-up, first traffic and most caches are over by then. A heap that stays within
 * 11 % of some level, on either side, can never grow by 25 %.
 */
export const LEAK_RULE: LeakRule = Object.freeze({
  warmUpMs: 5 * 60_000,
  roundMs: 5 * 60_000,
  readingsPerRound: 5,
  rises: 5,
  riseShare: 0.1,
  growthBytes: 10 * 1024 * 1024,
  growthShare: 0.25,
})

/** The lowest reading of a round. */
interface Floor extends GcReading {
  /** The highest floor of all rounds before this one, bytes. */
  readonly ceilingBytes: number
}

/** Floors of rounds of one length. */
interface Scale {
  /** The latest ones, oldest first: as many as the rule looks at. */
  readonly floors: Floor[]
  /** Waits for its twin; together they are one floor of the next scale. */
  single: Floor | undefined
}

/**
 * Says whether the heap leaks. Readings are gathered into rounds, and a round counts as its lowest reading, the floor:
 * garbage and bursts can only raise a reading. Rounds join in pairs, pairs in pairs, so each time scale has its floors,
 * and a leak slower than the noise shows on a longer one. Five floors in a row, each clearly above the one before, are a
 * leak if the climb is real growth (absolute and relative) above the highest floor known before it: a wave or a sawtooth
 * that repeats does not pass its own peak. After a leak, and after a flat stretch as long as a round, five new rises are due.
 *
 * Source: the rule of memwatch's `leak` event, "the heap grew over five consecutive garbage collections", applied to
 * floors of rounds in place of single collections, because five growing collections are what every start-up looks like.
 * What it cannot tell from a leak: a first, steady rise over more than `rises` rounds (a cache that takes half an hour to
 * fill, the first morning of a daily wave). The same rise later is known, and silent.
 */
export class LeakTrend {
  readonly #rule: LeakRule
  readonly #fromMs: number
  #scales: Scale[] = []
  #round: { lowest: GcReading; startMs: number; readings: number } | undefined
  #ceilingBytes = 0

  /**
   * @param startMs - When the process began to be watched, monotonic ms: the warm-up counts from here.
   * @param rule - Default {@link LEAK_RULE}.
   */
  constructor(startMs: number, rule: LeakRule = LEAK_RULE) {
    this.#rule = rule
    this.#fromMs = startMs + rule.warmUpMs
  }

  /** Takes the next reading; returns a leak once, when this reading completes one. */
  read(reading: GcReading): Leak | undefined {
    if (reading.atMs < this.#fromMs) return undefined
    const floor = this.#closeRound(reading)
    if (floor === undefined) return undefined
    const leak = this.#add(floor, 0)
    if (leak !== undefined) this.#scales = []
    return leak
  }

  #closeRound(reading: GcReading): Floor | undefined {
    const round = (this.#round ??= { lowest: reading, startMs: reading.atMs, readings: 0 })
    round.readings++
    round.lowest = lower(round.lowest, reading)
    const isFull = round.readings >= this.#rule.readingsPerRound
    if (!isFull || reading.atMs - round.startMs < this.#rule.roundMs) return undefined

    this.#round = undefined
    const floor = { ...round.lowest, ceilingBytes: this.#ceilingBytes }
    this.#ceilingBytes = Math.max(this.#ceilingBytes, floor.usedBytes)
    return floor
  }

  #add(floor: Floor, level: number): Leak | undefined {
    const scale = (this.#scales[level] ??= { floors: [], single: undefined })
    scale.floors.push(floor)
    if (scale.floors.length > this.#rule.rises + 1) scale.floors.shift()
    const leak = findLeak(scale.floors, this.#rule)
    if (leak !== undefined) return leak

    const first = scale.single
    scale.single = first === undefined ? floor : undefined
    if (first === undefined) return undefined
    return this.#add({ ...lower(first, floor), ceilingBytes: first.ceilingBytes }, level + 1)
  }
}

function findLeak(floors: readonly Floor[], rule: LeakRule): Leak | undefined {
  const first = floors[0]
  const last = floors[rule.rises]
  if (first === undefined || last === undefined) return undefined

  const knownBytes = Math.max(first.usedBytes, first.ceilingBytes)
  const neededBytes = Math.max(rule.growthBytes, rule.growthShare * knownBytes)
  if (last.usedBytes - knownBytes < neededBytes) return undefined

  const growthBytes = last.usedBytes - first.usedBytes
  if (!risesSteadily(floors, rule.riseShare * growthBytes)) return undefined
  return { startMs: first.atMs, endMs: last.atMs, growthBytes, reason: explain(floors, growthBytes) }
}

function risesSteadily(floors: readonly Floor[], riseBytes: number): boolean {
  let previous: Floor | undefined
  for (const floor of floors) {
    if (previous !== undefined && floor.usedBytes - previous.usedBytes < riseBytes) return false
    previous = floor
  }
  return true
}

function lower(a: GcReading, b: GcReading): GcReading {
  return b.usedBytes < a.usedBytes ? b : a
}

function explain(floors: readonly Floor[], growthBytes: number): string {
  const tookMs = (floors.at(-1)?.atMs ?? 0) - (floors[0]?.atMs ?? 0)
  const perHourBytes = growthBytes / (tookMs / 3_600_000)
  const levels = floors.map((floor) => megabytes(floor.usedBytes)).join(', ')
  return (
    `heap after full GCs grew by ${megabytes(growthBytes)} MB in ${duration(tookMs)}, ` +
    `${megabytes(perHourBytes)} MB per hour if it goes on, through ${floors.length - 1} rises in a row: ${levels} MB`
  )
}

function megabytes(bytes: number): string {
  return (bytes / (1024 * 1024)).toFixed(1)
}

function duration(ms: number): string {
  const units = [
    { name: 'd', ms: 86_400_000 },
    { name: 'h', ms: 3_600_000 },
    { name: 'min', ms: 60_000 },
  ]
  const unit = units.find((candidate) => ms >= candidate.ms) ?? { name: 's', ms: 1000 }
  return `${(ms / unit.ms).toFixed(1)} ${unit.name}`
}
