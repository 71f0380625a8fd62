/** The middle of a figure over the rounds, and how far the rounds lie apart. */
export interface Spread {
  readonly median: number
  readonly least: number
  readonly most: number
}

/** @throws RangeError without values. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((one, other) => one - other)
  const [least, most] = [sorted[0], sorted.at(-1)]
  if (least === undefined || most === undefined) throw new RangeError('no values')
  const upper = sorted[Math.floor(sorted.length / 2)] ?? most
  const lower = sorted[Math.floor((sorted.length - 1) / 2)] ?? least
  return { median: (lower + upper) / 2, least, most }
}

/** Each round against the same round of another: what disturbs the machine for a round disturbs both. */
export function ratios(values: readonly number[], base: readonly number[]): number[] {
  return values.flatMap((value, round) => {
    const below = base[round]
    return below ? [value / below] : []
  })
}

/** With as many digits as tell it from its neighbours: `0.53`, `5.3`, `53`. */
export function digits(value: number): string {
  const size = Math.abs(value)
  return value.toFixed(size < 1 ? 2 : size < 10 ? 1 : 0)
}

/** `0.53 (0.50-0.61)`; without brackets when there was one round. */
export function withSpread(
  { median, least, most }: Spread,
  format: (value: number) => string = digits,
): string {
  return least === most ? format(median) : `${format(median)} (${format(least)}-${format(most)})`
}
