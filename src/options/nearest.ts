/** Maximum number of changes between a misspelt name and a known name, as a share (0 to 1) of the known name's length. */
const MOST_CHANGED = 0.2

/** Finds the known name that is most similar to a misspelt name. @returns `undefined` when no known name is similar. */
export function nearestOf(name: string, known: readonly string[]): string | undefined {
  const ranked = known
    .map((candidate) => ({ candidate, changes: changesBetween(name, candidate) }))
    .sort((one, other) => one.changes - other.changes)
  const [best] = ranked
  return best && best.changes <= MOST_CHANGED * best.candidate.length ? best.candidate : undefined
}

/** Returns the Levenshtein distance: the least number of characters to insert, delete or replace to turn `one` into `other`. */
function changesBetween(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, at) => at)
  for (const [at, letter] of [...one].entries()) {
    const next = [at + 1]
    for (const [column, wanted] of [...other].entries()) {
      const replaced = (row[column] ?? 0) + (letter === wanted ? 0 : 1)
      next.push(Math.min(replaced, (row[column + 1] ?? 0) + 1, (next[column] ?? 0) + 1))
    }
    row = next
  }
  return row[other.length] ?? 0
}
