/** A measured time, ms, to the tenth: it says no more than this. */
export function tenths(ms: number): number {
  return Math.round(ms * 10) / 10
}
