import type { GcReading } from '../../../../src/leak/trend'
import type { Random } from './random'

export const MB = 1024 * 1024
export const HOUR_MS = 3_600_000

/** MB of live objects at a time of the process's life, in hours. */
export type LiveMb = (hour: number) => number

/** Objects of one kind that a program holds. */
export interface Part {
  readonly liveMb: LiveMb
  /** Each object is replaced by another one after about this time, hours; absent: it stays as long as the part does not shrink. */
  readonly turnoverHours?: number | undefined
}

/** A program as its heap shows it. */
export interface Program {
  readonly parts: readonly Part[]
  /** Garbage that reaches the old generation, MB per hour: it decides how often a heap that does not grow collects. */
  readonly churnMbPerHour: number
  /** Deviation of the live heap around its parts, as a share of it: sessions and requests come and go. */
  readonly noise: number
  /** How long such a deviation lasts, hours. */
  readonly noiseHours: number
  /** Mean of what requests in flight hold at the moment of a collection, MB. */
  readonly inFlightMb: number
  /** Share of collections that V8's memory reducer follows up with another one, seconds later. */
  readonly reducerShare: number
}

/** V8 lets the heap grow by such a share of what survived before it collects again ... */
const GROWTH_BEFORE_GC = [0.11, 0.37] as const
/** ... and by at least this, MB. */
const LEAST_GROWTH_MB = 8
/** The first full collection comes when this much is in use, MB. */
const FIRST_GC_MB = 24
const REDUCER_DELAY_HOURS = 8 / 3600

/**
 * Full collections as V8 spaces them: by the growth of the heap, garbage included, and not by the clock.
 *
 * @param stepHours - How finely the program's life is cut.
 * @param stopMb - The process ends when this much is live.
 */
export function collect(
  program: Program,
  random: Random,
  hours: number,
  stepHours: number,
  stopMb = Infinity,
): GcReading[] {
  const { parts, churnMbPerHour, noise, noiseHours, inFlightMb, reducerShare } = program
  const readings: GcReading[] = []
  const memory = Math.exp(-stepHours / noiseHours)
  const kick = noise * Math.sqrt(1 - memory * memory)
  let deviation = noise * random.normal()
  let garbageMb = 0
  let limitMb = FIRST_GC_MB
  let reducerAt = Infinity
  for (let hour = stepHours; hour <= hours; hour += stepHours) {
    deviation = deviation * memory + kick * random.normal()
    garbageMb += churnMbPerHour * stepHours * random.between(0.5, 1.5)
    const live = Math.max(1, liveOf(parts, hour) * (1 + deviation))
    if (live > stopMb) break
    if (live + garbageMb < limitMb && hour < reducerAt) continue
    const survived = live - inFlightMb * Math.log(1 - random.next())
    const atHour = Math.min(hour, Math.max(reducerAt, hour - stepHours))
    readings.push({ atMs: atHour * HOUR_MS, usedBytes: survived * MB })
    garbageMb = 0
    limitMb = survived + Math.max(LEAST_GROWTH_MB, survived * random.between(...GROWTH_BEFORE_GC))
    const isFollowed = reducerAt === Infinity && random.next() < reducerShare
    reducerAt = isFollowed ? hour + REDUCER_DELAY_HOURS : Infinity
  }
  return readings
}

/** MB of all parts together. */
export function liveOf(parts: readonly Part[], hour: number): number {
  return parts.reduce((sum, { liveMb }) => sum + liveMb(hour), 0)
}
