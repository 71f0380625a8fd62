import type { GcReading } from '../../../../src/leak/trend'
import { collect, type LiveMb, liveOf, type Part, type Program } from './heap'
import { type Random, seeded, seedOf } from './random'
import {
  batch,
  byDay,
  DAY,
  fill,
  irregularTeeth,
  late,
  officeHours,
  saturate,
  tooth,
  wave,
  WEEK,
  week,
} from './shapes'

/** One kind of program; each seed draws another one of its kind. */
export interface Series {
  readonly name: string
  readonly leaks: boolean
  readonly draw: (random: Random) => Drawn
}

interface Drawn extends Partial<Program> {
  readonly parts: readonly Part[]
  /** When the leak begins, hours. */
  readonly leakFromHour?: number
}

/** One run of one series. */
export interface Run {
  readonly name: string
  readonly leaks: boolean
  readonly readings: readonly GcReading[]
  readonly hours: number
  readonly leakFromHour: number
  readonly parts: readonly Part[]
  /** For what has to be drawn while a rule looks at it. */
  readonly seed: number
}

/** Clean programs run for a week; leaks for a week after they have begun, or until the heap is full. */
const CLEAN_HOURS = WEEK
const LEAK_HOURS = WEEK
const HEAP_LIMIT_MB = 4096
const STEP_HOURS = 1 / 60
/** A fast leak must not double within a step. */
const FAST_STEP_HOURS = 1 / 360
const FAST_MB_SHARE_PER_HOUR = 0.5

const baseOf = (random: Random): number => random.scaled(30, 600)

function clean(name: string, draw: (random: Random) => Drawn): Series {
  return { name, leaks: false, draw }
}

/** How long sessions, jobs and the like are held, hours. */
const SESSION_HOURS = [0.25, 8] as const

/**
 * A level, and something that moves on it: `base × (1 + gain × form)`. Most clean programs are that.
 *
 * @param turnover - Bounds of the time after which an object of what moves is replaced; absent: it stays.
 */
function moving(
  name: string,
  gain: readonly [number, number],
  form: (random: Random) => LiveMb,
  turnover?: readonly [number, number],
): Series {
  return clean(name, (random) => {
    const base = baseOf(random)
    const share = random.between(...gain)
    const shape = form(random)
    const turnoverHours = turnover && random.scaled(...turnover)
    return { parts: [flat(base), { liveMb: (hour) => base * share * shape(hour), turnoverHours }] }
  })
}

const phaseOf = (random: Random): number => random.next()

export const CLEAN: readonly Series[] = [
  clean('flat', (random) => ({ parts: [flat(baseOf(random))] })),
  clean('flat, very noisy', (random) => ({ parts: [flat(baseOf(random))], noise: 0.18, noiseHours: 1 })),
  clean('flat, noise of hours', (random) => ({ parts: [flat(baseOf(random))], noise: 0.1, noiseHours: 6 })),
  clean('flat, many in flight', (random) => {
    const base = baseOf(random)
    return { parts: [flat(base)], inFlightMb: base * 0.4 }
  }),
  clean('flat, small heap', (random) => ({ parts: [flat(random.between(6, 14))], noise: 0.08 })),
  clean('flat, big heap', (random) => ({ parts: [flat(random.between(900, 2500))], noise: 0.06 })),
  clean('flat, collects seldom', (random) => {
    const base = baseOf(random)
    return { parts: [flat(base)], churnMbPerHour: base * random.scaled(0.05, 0.3), noise: 0.1 }
  }),
  clean('flat, idle with a memory reducer', (random) => {
    const base = baseOf(random)
    return { parts: [flat(base)], churnMbPerHour: base * 0.1, reducerShare: 0.9, noise: 0.06 }
  }),
  moving('boot of ten minutes', [0.5, 3], () => fill(1 / 6)),
  moving('boot, then an hour of lazy loading', [0.3, 2], () => fill(1)),
  moving('deploy, growth over hours', [0.3, 1.5], (random) => saturate(random.between(0.5, 3))),
  moving('deploy, tenants come in steps for a day', [0.3, 1.5], (random) => {
    const steps = Array.from({ length: 8 }, () => random.between(0, DAY)).sort((a, b) => a - b)
    return (hour) => steps.filter((at) => at < hour).length / steps.length
  }),
  moving(
    'one step up',
    [0.3, 2],
    (random) => {
      const at = random.between(1, WEEK)
      return (hour) => (hour < at ? 0 : 1)
    },
    SESSION_HOURS,
  ),
  moving(
    'three steps up',
    [0.3, 1.5],
    (random) => {
      const steps = Array.from({ length: 3 }, () => random.between(1, WEEK))
      return (hour) => steps.filter((at) => at < hour).length / steps.length
    },
    SESSION_HOURS,
  ),
  moving('waves of two hours', [0.3, 1.5], (random) => wave(2, phaseOf(random)), SESSION_HOURS),
  moving('waves of six hours', [0.3, 1.5], (random) => wave(6, phaseOf(random)), SESSION_HOURS),
  moving('small day waves', [0.1, 0.4], (random) => wave(DAY, phaseOf(random)), SESSION_HOURS),
  moving('day waves', [0.4, 1.5], (random) => wave(DAY, phaseOf(random)), SESSION_HOURS),
  moving('large day waves', [1, 3], (random) => wave(DAY, phaseOf(random)), SESSION_HOURS),
  moving(
    'day waves, no two days alike',
    [0.4, 1.5],
    (random) => product(wave(DAY, phaseOf(random)), byDay(random, 0.7, 1)),
    SESSION_HOURS,
  ),
  moving(
    'day waves, started at night',
    [0.4, 2],
    (random) => wave(DAY, random.between(-0.05, 0.05)),
    SESSION_HOURS,
  ),
  moving(
    'day waves, started in the morning',
    [0.4, 2],
    (random) => wave(DAY, random.between(0.1, 0.25)),
    SESSION_HOURS,
  ),
  moving(
    'office hours, started before',
    [0.4, 2],
    (random) => officeHours(random.between(2, 5)),
    SESSION_HOURS,
  ),
  moving(
    'sessions that last a day, on day waves',
    [0.4, 2],
    (random) => {
      return product(saturate(random.between(4, 12)), plusOne(wave(DAY, phaseOf(random))))
    },
    [6, 24],
  ),
  moving(
    'two peaks a day',
    [0.4, 2],
    (random) => {
      const phase = phaseOf(random)
      return (hour) => 0.6 * wave(DAY, phase)(hour) + 0.4 * wave(DAY / 2, phase)(hour)
    },
    SESSION_HOURS,
  ),
  moving(
    'day waves, second day much busier',
    [0.6, 2],
    (random) => {
      const second = random.between(0.4, 0.7)
      const phase = phaseOf(random)
      return (hour) => wave(DAY, phase)(hour) * (hour < DAY ? second : 1)
    },
    SESSION_HOURS,
  ),
  moving(
    'traffic moved over in half a day',
    [0.4, 1.5],
    (random) => fill(random.between(6, 18)),
    SESSION_HOURS,
  ),
  moving(
    'day and week waves',
    [0.4, 1.5],
    (random) => {
      return product(wave(DAY, phaseOf(random)), week(0.5, random.between(0, WEEK)))
    },
    SESSION_HOURS,
  ),
  moving('weekends off', [0.3, 1], (random) => week(0, random.between(0, WEEK)), SESSION_HOURS),
  moving(
    'day waves with a peak at noon',
    [0.4, 1.5],
    (random) => {
      const phase = phaseOf(random)
      return (hour) => wave(DAY, phase)(hour) ** 4
    },
    SESSION_HOURS,
  ),
  moving('cache saturating in half an hour', [0.5, 3], () => saturate(0.5)),
  moving('cache saturating in three hours', [0.5, 2.5], () => saturate(3)),
  moving('cache saturating in twelve hours', [0.4, 2], () => saturate(12)),
  moving('cache saturating in two days', [0.4, 1.5], () => saturate(48)),
  moving('cache growing by the logarithm', [0.15, 0.5], (random) => {
    const hours = random.scaled(0.1, 2)
    return (hour) => Math.log1p(hour / hours)
  }),
  moving('cache growing by the root', [0.1, 0.4], () => (hour) => Math.sqrt(hour)),
  moving('dictionary growing by the power 0.6', [0.05, 0.2], () => (hour) => hour ** 0.6),
  moving('cache straight to full in twenty minutes', [0.5, 3], () => fill(1 / 3)),
  moving('cache straight to full in an hour', [0.3, 2], () => fill(1)),
  moving('cache straight to full in four hours', [0.3, 1.5], () => fill(4)),
  moving('cache straight to full in twelve hours', [0.3, 1.5], () => fill(12)),
  moving('launch, traffic grows for three days', [0.2, 1], () => fill(3 * DAY), SESSION_HOURS),
  moving('cache filled by the traffic of the day', [0.4, 1.5], (random) => {
    const phase = phaseOf(random)
    return (hour) => Math.min(1, integralOfWave(hour, phase) / 8)
  }),
  moving('cache emptied every night', [0.3, 1.5], (random) => tooth(DAY, phaseOf(random))),
  moving('sawtooth of an hour', [0.3, 1.5], (random) => tooth(1, phaseOf(random))),
  moving('sawtooth of six hours', [0.3, 1.5], (random) => tooth(6, phaseOf(random))),
  moving('sawtooth of twelve hours', [0.3, 1.5], (random) => tooth(12, phaseOf(random))),
  moving('sawtooth of two days', [0.3, 1], (random) => tooth(2 * DAY, phaseOf(random))),
  moving('irregular sawtooth of an hour', [0.3, 1.5], (random) => irregularTeeth(random, 1, 0.5)),
  moving('irregular sawtooth of five hours', [0.3, 1.5], (random) => irregularTeeth(random, 5, 0.6)),
  moving('irregular sawtooth of a day', [0.3, 1], (random) => irregularTeeth(random, DAY, 0.6)),
  moving('a batch every hour', [0.5, 3], (random) => batch(1, 0.1, phaseOf(random))),
  moving('a batch every night', [0.5, 3], (random) => batch(DAY, 1, phaseOf(random))),
  moving('a batch every night that collects its rows', [0.5, 3], (random) =>
    batch(DAY, 1.5, phaseOf(random), true),
  ),
  moving('a batch every six hours that collects its rows', [0.3, 1], (random) =>
    batch(6, 0.5, phaseOf(random), true),
  ),
  moving('ten percent more users a week', [0.05, 0.12], () => (hour) => hour / WEEK, SESSION_HOURS),
  clean('ten percent more users a week, on day waves', (random) => {
    const base = baseOf(random)
    const day = wave(DAY, phaseOf(random))
    const moved: LiveMb = (hour) => base * (1 + 0.5 * day(hour)) * (1 + (0.1 * hour) / WEEK) - base
    return { parts: [flat(base), { liveMb: moved, turnoverHours: random.scaled(...SESSION_HOURS) }] }
  }),
]

/** A leak of `share` of the heap per hour on a level of `baseMb`. */
interface LeakShape {
  readonly share: readonly [number, number]
  readonly baseMb?: readonly [number, number]
  /** What has leaked after `hour` hours when one unit leaks per hour in the mean. */
  readonly form?: (random: Random) => (hour: number) => number
  /** What else moves: multiplies the level. */
  readonly on?: (random: Random) => LiveMb
  readonly fromHour?: readonly [number, number]
  readonly program?: (baseMb: number, random: Random) => Partial<Program>
}

function leaking(name: string, shape: LeakShape): Series {
  return {
    name,
    leaks: true,
    draw(random) {
      const base = random.scaled(...(shape.baseMb ?? ([30, 600] as const)))
      const perHour = base * random.scaled(...shape.share)
      const form = shape.form?.(random) ?? ((hour: number) => hour)
      const level = shape.on?.(random) ?? (() => 1)
      const leakFromHour = shape.fromHour ? random.between(...shape.fromHour) : 0
      const leak = late(leakFromHour, (hour) => perHour * form(hour))
      const moving: LiveMb = (hour) => base * (level(hour) - 1)
      return {
        parts: [
          flat(base),
          { liveMb: moving, turnoverHours: random.scaled(...SESSION_HOURS) },
          { liveMb: leak },
        ],
        leakFromHour,
        ...shape.program?.(base, random),
      }
    },
  }
}

const VERY_SLOW = [0.004, 0.01] as const
const SLOW = [0.01, 0.05] as const
const MIDDLE = [0.05, 0.2] as const
const FAST = [0.2, 1] as const
const VERY_FAST = [1, 4] as const
const NOTHING_BUT_LEAK = { churnMbPerHour: 0, noise: 0.01, inFlightMb: 0 }
const seldom = (baseMb: number): Partial<Program> => ({ churnMbPerHour: baseMb * 0.1 })

export const LEAKS: readonly Series[] = [
  leaking('very slow', { share: VERY_SLOW }),
  leaking('slow', { share: SLOW }),
  leaking('middle', { share: MIDDLE }),
  leaking('fast', { share: FAST }),
  leaking('very fast', { share: VERY_FAST }),
  leaking('slow, nothing else is allocated', { share: SLOW, program: () => NOTHING_BUT_LEAK }),
  leaking('middle, nothing else is allocated', { share: MIDDLE, program: () => NOTHING_BUT_LEAK }),
  leaking('fast, nothing else is allocated', { share: FAST, program: () => NOTHING_BUT_LEAK }),
  leaking('very fast, nothing else is allocated', { share: VERY_FAST, program: () => NOTHING_BUT_LEAK }),
  leaking('slow, collects seldom', { share: SLOW, program: seldom }),
  leaking('middle, collects seldom', { share: MIDDLE, program: seldom }),
  leaking('fast, collects seldom', { share: FAST, program: seldom }),
  leaking('middle, small heap', { share: MIDDLE, baseMb: [8, 16] }),
  leaking('fast, small heap', { share: FAST, baseMb: [8, 16] }),
  leaking('slow, big heap', { share: SLOW, baseMb: [700, 1500] }),
  leaking('middle, big heap', { share: MIDDLE, baseMb: [700, 1500] }),
  leaking('fast, big heap', { share: FAST, baseMb: [700, 1500] }),
  leaking('slow, noisy', { share: SLOW, program: () => ({ noise: 0.1 }) }),
  leaking('middle, noisy', { share: MIDDLE, program: () => ({ noise: 0.1 }) }),
  leaking('fast, noisy', { share: FAST, program: () => ({ noise: 0.1 }) }),
  leaking('middle, many in flight', { share: MIDDLE, program: (base) => ({ inFlightMb: base * 0.4 }) }),
  leaking('slow on day waves', { share: SLOW, on: dayWaves(0.3) }),
  leaking('middle on day waves', { share: MIDDLE, on: dayWaves(0.5) }),
  leaking('fast on day waves', { share: FAST, on: dayWaves(0.5) }),
  leaking('slow, by the traffic of the day', { share: SLOW, form: byTraffic }),
  leaking('middle, by the traffic of the day', { share: MIDDLE, form: byTraffic }),
  leaking('fast, by the traffic of the day', { share: FAST, form: byTraffic }),
  leaking('slow, late', { share: SLOW, fromHour: [24, 100] }),
  leaking('middle, late', { share: MIDDLE, fromHour: [24, 100] }),
  leaking('fast, late', { share: FAST, fromHour: [24, 100] }),
  leaking('very fast, late', { share: VERY_FAST, fromHour: [24, 100] }),
  leaking('middle on day waves, late', { share: MIDDLE, on: dayWaves(0.4), fromHour: [24, 100] }),
  leaking('middle, hours after the start', { share: MIDDLE, fromHour: [2, 10] }),
  leaking('fast, hours after the start', { share: FAST, fromHour: [1, 6] }),
  leaking('slow, in stairs of an hour', { share: SLOW, form: () => (hour) => Math.floor(hour) }),
  leaking('middle, in stairs of two hours', {
    share: MIDDLE,
    form: () => (hour) => 2 * Math.floor(hour / 2),
  }),
  leaking('middle, in stairs of a night batch', {
    share: [0.01, 0.03],
    form: () => (hour) => DAY * Math.floor((hour + 6) / DAY),
  }),
  leaking('middle, accelerating', { share: MIDDLE, form: () => (hour) => hour * (1 + hour / 20) }),
  leaking('middle, slowing at weekends', {
    share: MIDDLE,
    form: () => (hour) => hour - Math.max(0, (hour % WEEK) - 120) * 0.7,
  }),
  leaking('middle under a sawtooth', {
    share: MIDDLE,
    on: (random) => plusOne(scaledBy(0.3, tooth(1, phaseOf(random)))),
  }),
  leaking('fast under a sawtooth', {
    share: FAST,
    on: (random) => plusOne(scaledBy(0.3, tooth(0.5, phaseOf(random)))),
  }),
  leaking('middle under batches', { share: MIDDLE, on: (random) => plusOne(batch(1, 0.1, phaseOf(random))) }),
  leaking('middle after a boot of an hour', { share: MIDDLE, on: () => plusOne(scaledBy(0.5, fill(1))) }),
  leaking('fast after a boot of an hour', { share: FAST, on: () => plusOne(scaledBy(0.5, fill(1))) }),
  leaking('middle beside a cache that fills', {
    share: MIDDLE,
    on: () => plusOne(scaledBy(0.5, saturate(3))),
  }),
]

function flat(mb: number): Part {
  return { liveMb: () => mb }
}

function product(a: LiveMb, b: LiveMb): LiveMb {
  return (hour) => a(hour) * b(hour)
}

function scaledBy(factor: number, live: LiveMb): LiveMb {
  return (hour) => factor * live(hour)
}

function plusOne(live: LiveMb): LiveMb {
  return (hour) => 1 + live(hour)
}

function dayWaves(gain: number): (random: Random) => LiveMb {
  return (random) => plusOne(scaledBy(gain * random.between(0.5, 1.5), wave(DAY, phaseOf(random))))
}

/** Hours of mean traffic that have passed when traffic is a day wave. */
function byTraffic(random: Random): (hour: number) => number {
  const phase = phaseOf(random)
  return (hour) => 2 * integralOfWave(hour, phase)
}

function integralOfWave(hour: number, phase: number): number {
  const sine = (at: number) => Math.sin(2 * Math.PI * (at / DAY + phase))
  return hour / 2 - (DAY / (4 * Math.PI)) * (sine(hour) - sine(0))
}

/** The same run for the same series and number, every time. */
export function run(series: Series, number: number): Run {
  const seed = seedOf(series.name, number)
  const random = seeded(seed)
  const { leakFromHour = 0, ...drawn } = series.draw(random)
  const { parts } = drawn
  const startMb = liveOf(parts, 0.01)
  const program: Program = {
    churnMbPerHour: startMb * random.scaled(1, 30),
    noise: random.between(0.003, 0.04),
    noiseHours: random.scaled(0.1, 1),
    inFlightMb: startMb * random.between(0.01, 0.08),
    reducerShare: random.between(0, 0.4),
    ...drawn,
  }
  const hours = series.leaks ? leakFromHour + LEAK_HOURS : CLEAN_HOURS
  const perHour = (liveOf(parts, leakFromHour + 2) - liveOf(parts, leakFromHour + 1)) / startMb
  const stepHours = series.leaks && perHour > FAST_MB_SHARE_PER_HOUR ? FAST_STEP_HOURS : STEP_HOURS
  const readings = collect(program, random, hours, stepHours, HEAP_LIMIT_MB)
  return { name: series.name, leaks: series.leaks, readings, hours, leakFromHour, parts, seed }
}
