/** Heap in use just after one full (mark-sweep-compact) garbage collection. */
export interface GcReading {
  /** Time of the reading, monotonic ms. */
  readonly atMs: number
  /** Heap that survived the collection, bytes. */
  readonly usedBytes: number
}

/** A steady growth of the heap over several rounds. A round is a group of successive readings. */
export interface Climb {
  /** `true`: the growth is large enough for a leak. `false`: the climb is a suspicion, with at least half of that growth. */
  readonly isLeak: boolean
  /** Time of the climb's first floor (lowest reading of a round, or of several rounds together), monotonic ms. */
  readonly startMs: number
  /** Heap at the first floor, bytes. */
  readonly startBytes: number
  /** Time of the climb's last floor, or of the reading with which the climb is reported if that is later, monotonic ms. */
  readonly endMs: number
  /** Growth from `startMs` to `endMs`, bytes. */
  readonly growthBytes: number
  /** Text about the climb: growth, duration, growth per hour and the floors. */
  readonly reason: string
}

/** Numbers by which {@link LeakTrend} judges whether the heap leaks. */
export interface LeakRule {
  /** Readings within this time after the start of the watch are ignored, ms: the application is still loading. */
  readonly warmUpMs: number
  /** Readings are grouped into rounds of at least this length, ms. */
  readonly roundMs: number
  /**
   * Numbers of rises in a row, from one round to the next, that make a climb: any one of them is enough. `factor` multiplies
   * the growth that is required with this number: with fewer rises, more growth is required.
   */
  readonly climbs: readonly { readonly rises: number; readonly factor: number }[]
  /** Minimum slope of each rise, as a share of the climb's mean slope: a straight line has 1, a plateau 0. */
  readonly riseShare: number
  /** Minimum slope of the climb's second half, as a share of the slope of its first half. */
  readonly slowing: number
  /** Minimum slope of the climb, as a share of the heap's mean slope from the first round of the process to the climb. */
  readonly slowingSinceStart: number
  /**
   * Minimum growth of a leak above the heap's highest level before the climb, bytes. `suspicionShare` of it is enough for a
   * suspicion.
   */
  readonly growthBytes: number
  /**
   * Minimum growth of a leak, as a share (1: doubling) of the heap's highest level before the climb; up to several times as much
   * on the first day.
   */
  readonly growthShare: number
  /** Upper bound of the growth that `growthShare` requires, bytes. */
  readonly mostGrowthBytes: number
  /**
   * Time after the start of the watch, ms, in which more growth than `growthShare` is required: the daily peak of the heap is
   * unknown until a whole day has passed.
   */
  readonly firstDayMs: number
  /**
   * Time since the start of the watch, ms, up to which a climb must double the heap. On the first day the required growth falls
   * in proportion: at twice this time it is half as large. `firstDayFactors` multiply it.
   */
  readonly doublingMs: number
  /**
   * Factors for the required growth on the first day of the watch: the first, the smaller, for a climb that began with the
   * watch, as a leak does that is there from the start; the second for one that began in the second half of the time since
   * then, which is mostly traffic or a cache; linearly in between.
   */
  readonly firstDayFactors: readonly [number, number]
  /** Minimum duration of a climb, ms: a cache may fill within less, and the memory threshold catches a faster leak. */
  readonly shortestMs: number
  /** Maximum duration of a climb, ms: growth over weeks comes from more users. Peaks of the heap older than this do not count. */
  readonly longestMs: number
  /** After each reported leak, the required growth, except the minimum `growthBytes`, is multiplied once more by this factor. */
  readonly nextFactor: number
  /** Share of the required growth, 0 to 1: a climb that has reached it is a suspicion, and a leak at the full growth. */
  readonly suspicionShare: number
}

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const MIB = 1024 * 1024

/**
 * Leak rule for processes with sampled allocations. `npm run bench -- leak` shows which leaks it finds and how many false
 * alarms it raises. The reasons for its numbers:
 *
 * - `warmUpMs` and `roundMs`: start-up takes some minutes; collections seconds apart show the same heap.
 * - `climbs`: a process that allocates little besides its leak runs a full GC each time the heap has grown by up to
 *   37 %. Over six readings such a heap grows fivefold, over four 2.6-fold. Few healthy programs do so in a straight
 *   line.
 * - `riseShare` and `slowing`: noise bends single rises; a cache that fills slows down.
 * - `firstDayFactors`: most false alarms come on the first day, from the first wave of traffic and from caches. A leak
 *   present from the start climbs from the first reading on, a wave later.
 * - `doublingMs`: half an hour less finds leaks 15 to 36 minutes sooner in the median, and raises an alarm in 0.6 to
 *   3 % more of the runs without a leak (three sets of randomly generated series).
 * - `growthShare`: a heap that stays within 11 % of some level, on either side, never grows by 25 %.
 * - `longestMs`: six rounds of 21 h, each of which contains the low of a daily wave.
 * - `mostGrowthBytes`: requiring a quarter of a 3 GB heap would leave no memory for a snapshot.
 */
export const LEAK_RULE: LeakRule = Object.freeze({
  warmUpMs: 5 * MINUTE_MS,
  roundMs: 5 * MINUTE_MS,
  climbs: [
    { rises: 5, factor: 1 },
    { rises: 4, factor: 1.6 },
    { rises: 3, factor: 2.5 },
  ],
  riseShare: 0.35,
  slowing: 0.9,
  slowingSinceStart: 0.65,
  growthBytes: 10 * MIB,
  growthShare: 0.25,
  mostGrowthBytes: 512 * MIB,
  firstDayMs: 24 * HOUR_MS,
  doublingMs: 1.75 * HOUR_MS,
  firstDayFactors: [0.7, 2] as const,
  shortestMs: 25 * MINUTE_MS,
  longestMs: 132 * HOUR_MS,
  nextFactor: 2,
  suspicionShare: 0.5,
})

/** Leak rule for processes without sampled allocations. The trend alone decides there, so it is stricter on the first day. */
export const LEAK_RULE_ALONE: LeakRule = Object.freeze({
  ...LEAK_RULE,
  doublingMs: 6 * HOUR_MS,
  firstDayFactors: [0.7, 3] as const,
})

/** The lowest reading of a round of readings. */
interface Floor extends GcReading {
  /** Highest floor of the rounds before this one, bytes; rounds more than `longestMs` before it do not count. 0: there are none. */
  readonly ceilingBytes: number
}

/**
 * Judges from heap readings whether the heap leaks. Readings are grouped into rounds. A round counts as its lowest
 * reading, the floor, because garbage and bursts can only raise a reading. Floors are merged in pairs and in threes,
 * and the results again in pairs: on these longer time scales a leak that is slower than the noise shows. A climb is
 * several floors in a row, each clearly above the one before. Only growth above the highest earlier floor counts: a
 * repeating wave or sawtooth never passes its own peak. After a leak, climbs are counted anew. Peaks older than the
 * longest climb are forgotten, so that one large job does not hide a slow leak for ever.
 *
 * Slopes are per time, not per reading: V8 collects a heap each time it has grown by a share of itself, so a steady
 * leak gives readings at ever longer intervals.
 *
 * Source: the rule of memwatch's `leak` event, "the heap grew over five consecutive garbage collections", applied to
 * floors instead of single collections, because at start-up every heap grows over five collections. The trend mistakes
 * one pattern for a leak: a first, steady rise that doubles the heap within hours (a cache that fills in a straight line,
 * the first morning of a large daily wave). When the rise repeats, its peak is known, and it is not reported.
 */
export class LeakTrend {
  readonly #rule: LeakRule
  readonly #startMs: number
  #ladders = newLadders()
  #triple: Floor[] = []
  #lowest: GcReading | undefined
  #firstFloor: Floor | undefined
  #roundEndMs: number
  /** Earlier floors that are higher than all later ones; the first is the highest. */
  #ceilings: readonly GcReading[] = []
  #demandFactor = 1

  /**
   * @param startMs - Start of the watch, monotonic ms: the warm-up counts from here.
   * @param rule - Default {@link LEAK_RULE}.
   */
  constructor(startMs: number, rule: LeakRule = LEAK_RULE) {
    this.#rule = rule
    this.#startMs = startMs
    this.#roundEndMs = startMs + rule.warmUpMs
  }

  /**
   * Processes the next reading, and compares the heap's lowest readings whenever the reading ends a round.
   *
   * @returns The climb that the reading completes, if any. A climb that is large enough for a leak (`isLeak`) is returned once:
   * the next one is counted from new readings. A smaller climb (a suspicion) may be returned again at the end of later rounds.
   */
  read(reading: GcReading): Climb | undefined {
    if (reading.atMs < this.#startMs + this.#rule.warmUpMs) return undefined
    const floor = this.#closeRound(reading)
    if (floor === undefined) return undefined
    let suspicion: Climb | undefined
    for (const window of this.#windows(floor)) {
      const climb = this.#judge(window)
      if (climb?.isLeak) {
        this.#forget()
        return climb
      }
      suspicion ??= climb
    }
    return suspicion
  }

  /** To be called for each reported leak (not every climb is reported): multiplies the required growth by `nextFactor`. */
  noteReport(): void {
    this.#demandFactor *= this.#rule.nextFactor
  }

  #closeRound(reading: GcReading): Floor | undefined {
    const lowest = lower(this.#lowest ?? reading, reading)
    this.#lowest = lowest
    if (reading.atMs - this.#roundEndMs < this.#rule.roundMs) return undefined
    this.#roundEndMs = reading.atMs
    this.#lowest = undefined
    const known = this.#ceilings.filter(({ atMs }) => atMs >= lowest.atMs - this.#rule.longestMs)
    const floor = { ...lowest, ceilingBytes: known[0]?.usedBytes ?? 0 }
    this.#ceilings = [...known.filter(({ usedBytes }) => usedBytes > lowest.usedBytes), lowest]
    this.#firstFloor ??= floor
    return floor
  }

  /**
   * Adds a floor (the lowest reading of a round) to the time scales, and yields the latest floors of each scale that it changes.
   * Merging threes of floors gives scales between those that pairs give.
   */
  *#windows(floor: Floor): Generator<readonly Floor[]> {
    yield* this.#ladders.pairs.add(floor)
    this.#triple.push(floor)
    if (this.#triple.length < 3) return
    const joined = this.#triple.reduce(join)
    this.#triple = []
    yield* this.#ladders.threes.add(joined)
  }

  #judge(floors: readonly Floor[]): Climb | undefined {
    let suspicion: Climb | undefined
    for (const { rises, factor } of this.#rule.climbs) {
      const window = floors.slice(-rises - 1)
      if (window.length <= rises) continue
      const grown = this.#grownShare(window, factor)
      if (grown < this.#rule.suspicionShare || this.#slows(window) || !climbsSteadily(window, this.#rule))
        continue
      const climb = climbOf(window, grown >= 1)
      if (climb.isLeak) return climb
      suspicion ??= climb
    }
    return suspicion
  }

  /**
   * Returns the growth over these floors, above the highest earlier floor, as a share of the required growth: with 1 or more, the
   * growth is large enough for a leak. 0 if the floors cover too short or too long a time.
   */
  #grownShare(window: readonly Floor[], factor: number): number {
    const { growthBytes, mostGrowthBytes, shortestMs, longestMs } = this.#rule
    const [first, last] = endsOf(window)
    const tookMs = last.atMs - first.atMs
    if (tookMs < shortestMs || tookMs > longestMs) return 0
    const knownBytes = Math.max(first.usedBytes, first.ceilingBytes)
    const wantedBytes = Math.min(mostGrowthBytes, factor * this.#demandedShare(first, last) * knownBytes)
    return (last.usedBytes - knownBytes) / Math.max(growthBytes, this.#demandFactor * wantedBytes)
  }

  /** Whether the heap rises clearly less steeply over these floors than before them, as with a cache that fills for days. */
  #slows(window: readonly Floor[]): boolean {
    const [first] = endsOf(window)
    const start = this.#firstFloor ?? first
    if (first.atMs <= start.atMs) return false
    return slopeOf(window) < this.#rule.slowingSinceStart * slopeOf([start, first])
  }

  #demandedShare(first: Floor, last: Floor): number {
    const { growthShare, firstDayMs, doublingMs, firstDayFactors } = this.#rule
    const ageMs = last.atMs - this.#startMs
    if (ageMs >= firstDayMs) return growthShare
    const [fromTheStart, later] = firstDayFactors
    const lateness = Math.min(1, (2 * (first.atMs - this.#startMs)) / ageMs)
    const share = Math.min(1, doublingMs / ageMs) * (fromTheStart + (later - fromTheStart) * lateness)
    return Math.max(growthShare, share)
  }

  #forget(): void {
    this.#ladders = newLadders()
    this.#triple = []
  }
}

/** Number of floors (lowest readings of rounds) kept per time scale: one more than the five rises of the longest climb. */
const FLOORS_KEPT = 6

/** Floors on several time scales, each twice as long as the one before. */
class Ladder {
  readonly #scales: { readonly floors: Floor[]; single: Floor | undefined }[] = [];

  /** Adds a floor to the scale `level` and merges every two floors into one of the next scale; yields each changed scale. */
  *add(floor: Floor, level = 0): Generator<readonly Floor[]> {
    const scale = (this.#scales[level] ??= { floors: [], single: undefined })
    scale.floors.push(floor)
    if (scale.floors.length > FLOORS_KEPT) scale.floors.shift()
    yield scale.floors
    const twin = scale.single
    scale.single = twin === undefined ? floor : undefined
    if (twin !== undefined) {
      yield* this.add(join(twin, floor), level + 1)
      return
    }
    // The new floor is half of the next scale's floor. Use it there already, so that a leak is found without the other half.
    const next = this.#scales[level + 1]
    if (next !== undefined) yield [...next.floors, floor]
  }
}

function newLadders(): { readonly pairs: Ladder; readonly threes: Ladder } {
  return { pairs: new Ladder(), threes: new Ladder() }
}

function join(earlier: Floor, later: Floor): Floor {
  return { ...lower(earlier, later), ceilingBytes: earlier.ceilingBytes }
}

function climbsSteadily(window: readonly Floor[], { riseShare, slowing }: LeakRule): boolean {
  const leastSlope = riseShare * slopeOf(window)
  const isSteady = window.every(
    (floor, at) => at === 0 || slopeOf([window[at - 1] ?? floor, floor]) >= leastSlope,
  )
  const half = Math.floor((window.length - 1) / 2)
  return isSteady && slopeOf(window.slice(-half - 1)) >= slowing * slopeOf(window.slice(0, half + 1))
}

/** Slope from the first floor to the last, bytes per ms. */
function slopeOf(window: readonly Floor[]): number {
  const [first, last] = endsOf(window)
  return (last.usedBytes - first.usedBytes) / (last.atMs - first.atMs)
}

function endsOf(window: readonly Floor[]): readonly [Floor, Floor] {
  const [first, last] = [window[0], window.at(-1)]
  if (first === undefined || last === undefined) throw new RangeError('there are no readings to compare')
  return [first, last]
}

function lower(a: GcReading, b: GcReading): GcReading {
  return b.usedBytes < a.usedBytes ? b : a
}

function climbOf(window: readonly Floor[], isLeak: boolean): Climb {
  const [first, last] = endsOf(window)
  const growthBytes = last.usedBytes - first.usedBytes
  const reason = explain(window, last.atMs - first.atMs, growthBytes)
  return { isLeak, startMs: first.atMs, startBytes: first.usedBytes, endMs: last.atMs, growthBytes, reason }
}

function explain(window: readonly Floor[], tookMs: number, growthBytes: number): string {
  const perHourBytes = growthBytes / (tookMs / HOUR_MS)
  const levels = window.map((floor) => megabytes(floor.usedBytes)).join(', ')
  return (
    `heap after full GCs grew by ${megabytes(growthBytes)} MB in ${duration(tookMs)}, ` +
    `${megabytes(perHourBytes)} MB per hour if it goes on, through ${window.length - 1} rises in a row: ${levels} MB`
  )
}

/** Formats a number of bytes as mebibytes, without the unit. */
export function megabytes(bytes: number): string {
  return (bytes / MIB).toFixed(1)
}

/** Formats a duration with its largest unit: `1.5 h`. */
export function duration(ms: number): string {
  const units = [
    { name: 'd', ms: 86_400_000 },
    { name: 'h', ms: HOUR_MS },
    { name: 'min', ms: MINUTE_MS },
  ]
  const unit = units.find((candidate) => ms >= candidate.ms) ?? { name: 's', ms: 1000 }
  return `${(ms / unit.ms).toFixed(1)} ${unit.name}`
}
