import type { LiveMb, Part } from './heap'
import type { Random } from './random'
import { CLEAN, type Series } from './series'

/** As many as the bench has at least of each kind. */
const MIXTURES = 40
/** Of the heap, per hour: from a doubling in four days to one in half an hour. */
const LEAK_SHARES = [0.01, 2] as const
const LEAK_FROM_HOUR = [0, 60] as const

/**
 * Series that the rule was not made with: two clean programs in one process, and clean programs that leak. The rule's numbers
 * are chosen on `series`; these, and other seeds of those, show whether they hold elsewhere.
 */
export const HOLD_OUT: readonly Series[] = Array.from({ length: MIXTURES }, (_, at) => [
  {
    name: `two clean programs ${at}`,
    leaks: false,
    draw: (random: Random) => ({ parts: twoPrograms(random) }),
  },
  { name: `a clean program that leaks ${at}`, leaks: true, draw: (random: Random) => leaking(random) },
]).flat()

function cleanParts(random: Random): readonly Part[] {
  const series = CLEAN[Math.floor(random.next() * CLEAN.length)]
  if (!series) throw new RangeError('no such series')
  return series.draw(random).parts
}

function twoPrograms(random: Random): Part[] {
  return [...cleanParts(random), ...cleanParts(random)]
}

function leaking(random: Random): { parts: Part[]; leakFromHour: number } {
  const parts = cleanParts(random)
  const startMb = parts.reduce((sum, { liveMb }) => sum + liveMb(0.01), 0)
  const perHourMb = startMb * random.scaled(...LEAK_SHARES)
  const leakFromHour = random.next() < 0.5 ? 0 : random.between(...LEAK_FROM_HOUR)
  const leak: LiveMb = (hour) => perHourMb * Math.max(0, hour - leakFromHour)
  return { parts: [...parts, { liveMb: leak }], leakFromHour }
}
