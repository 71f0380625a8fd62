import { kindsOf, type Outcome } from './figures'

export interface Row {
  readonly variant: string
  readonly profile: string
  readonly outcome: Outcome
}

const HEAD = [
  'variant',
  'profile',
  'sent',
  'failed',
  'replaced',
  'min accepting',
  'ms below',
  'most live',
  'how they failed',
]

/** Columns of words; the others are numbers. */
const IS_LEFT = new Set([0, 1, HEAD.length - 1])

/** One line per row, columns aligned. A row without figures says why. */
export function formatTable(rows: readonly Row[]): string {
  const lines = [HEAD, ...rows.map(cellsOf)]
  const widths = HEAD.map((_, at) => Math.max(...lines.map((cells) => widthOf(cells, at))))
  return lines.map((cells) => cells.map((cell, at) => pad(cell, at, widths[at] ?? 0)).join('  ')).join('\n')
}

function cellsOf({ variant, profile, outcome }: Row): string[] {
  if ('reason' in outcome) return [variant, profile, outcome.reason]
  const { sent, failed, replaced, leastAccepting, msBelow, mostLive, why } = outcome
  const numbers = [sent, failed, replaced, leastAccepting, Math.round(msBelow), mostLive]
  return [variant, profile, ...numbers.map(String), kindsOf(why) || '-']
}

/** The last cell of a line ends it: none has to be as wide. */
function widthOf(cells: readonly string[], at: number): number {
  return at === cells.length - 1 ? 0 : (cells[at]?.length ?? 0)
}

function pad(cell: string, at: number, width: number): string {
  return IS_LEFT.has(at) ? cell.padEnd(width) : cell.padStart(width)
}
