/** A stream of numbers that is the same for the same seed on every machine. */
export interface Random {
  /** The next number, 0 up to but not including 1. */
  next(): number
  /** Evenly spread from `low` to `high`. */
  between(low: number, high: number): number
  /** Spread from `low` to `high` so that each doubling is equally likely; both above 0. */
  scaled(low: number, high: number): number
  /** Normal distribution with mean 0 and deviation 1. */
  normal(): number
}

/** Mulberry32: 32 bits of state, enough for series of some thousand readings. */
export function seeded(seed: number): Random {
  let state = (seed ^ 0x9e3779b9) >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  return {
    next,
    between: (low, high) => low + next() * (high - low),
    scaled: (low, high) => low * Math.exp(next() * Math.log(high / low)),
    normal: () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()),
  }
}

/** The seed of one run of one series: series do not share their random numbers. */
export function seedOf(name: string, run: number): number {
  let hash = 2_166_136_261
  for (const character of `${name} ${run}`) hash = Math.imul(hash ^ character.charCodeAt(0), 16_777_619)
  return hash >>> 0
}
