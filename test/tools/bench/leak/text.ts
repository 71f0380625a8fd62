import { formatTable } from '../output/table'
import type { Figures } from './figures'
import type { TraceOutcome } from './traces'

interface Row {
  readonly name: string
  readonly figures: Figures
}

export interface Rows {
  readonly series: { readonly clean: number; readonly leaking: number; readonly cleanHours: number }
  /** Every rule on the same series and recorded programs. */
  readonly rules: readonly (Row & { readonly traces: readonly TraceOutcome[] })[]
  /** This library's rule on series and seeds that its numbers were not chosen with. */
  readonly others: readonly Row[]
}

const HEAD = ['', 'false alarms / 1000 h', 'clean runs with one', 'leaks found', 'median delay h']
const TRACES_HEAD = ['real leaks found', 'heap then', 'real clean ones silent']

/** As it is printed, and as docs/benchmarks.md has it. The series are drawn from seeds: the same on each machine. */
export function textOf(
  parameters: Readonly<Record<string, string | number>>,
  { series, rules, others }: Rows,
): string {
  const [ours] = rules
  return [
    `${series.clean} clean and ${series.leaking} leaking series, ${parameters['seeds']} seeds: ${series.cleanHours} clean hours`,
    '',
    formatTable(HEAD, rules.map(cellsOf)),
    '',
    'ten recorded programs',
    '',
    formatTable(
      ['', ...TRACES_HEAD],
      rules.map(({ name, traces }) => [name, ...traceCells(traces)]),
    ),
    '',
    'this library on what its numbers were not chosen with',
    '',
    formatTable(HEAD, others.map(cellsOf)),
    '',
    'recorded programs, this library: heap at the alarm, as a multiple of the heap before the leak',
    '',
    formatTable(
      ['', 'heap'],
      (ours?.traces ?? []).map(({ name, foundAtFactor }) => [name, inWords(foundAtFactor)]),
    ),
  ].join('\n')
}

function cellsOf({ name, figures }: Row): string[] {
  const { falseAlarmsPer1000Hours, cleanRunsWithOne, found, medianDelayHours } = figures
  return [
    name,
    falseAlarmsPer1000Hours.toFixed(1),
    `${(100 * cleanRunsWithOne).toFixed(1)} %`,
    `${(100 * found).toFixed(1)} %`,
    medianDelayHours.toFixed(1),
  ]
}

function traceCells(traces: readonly TraceOutcome[]): string[] {
  const leaks = traces.filter((trace) => trace.leaks)
  const clean = traces.filter((trace) => !trace.leaks)
  const factors = leaks.flatMap(({ foundAtFactor }) => (foundAtFactor === undefined ? [] : [foundAtFactor]))
  const silent = clean.filter(({ foundAtFactor }) => foundAtFactor === undefined)
  return [
    `${factors.length} of ${leaks.length}`,
    factors.length === 0 ? '-' : `${inWords(Math.min(...factors))} to ${inWords(Math.max(...factors))}`,
    `${silent.length} of ${clean.length}`,
  ]
}

function inWords(factor: number | undefined): string {
  return factor === undefined ? 'silent' : `x ${factor.toFixed(1)}`
}
