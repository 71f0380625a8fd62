/** How many breaches stand in a row, at most. */
export function longestRow(breaches: readonly boolean[]): number {
  let [longest, row] = [0, 0]
  for (const isBreach of breaches) {
    row = isBreach ? row + 1 : 0
    longest = Math.max(longest, row)
  }
  return longest
}
