import { type Figures, figuresOf, judge, type Outcome } from './figures'
import { HOLD_OUT } from './hold-out'
import { OURS, type Rule, RULES, TREND_ALONE } from './rules'
import { CLEAN, LEAKS, run, type Series } from './series'
import { judgeTrace, readTraces, type TraceOutcome } from './traces'

const SEEDS = 20
/** Seeds with which no number of the rule was chosen. */
const OTHER_SEEDS_FROM = 1001

/** What this library must reach, with the defaults and on the series of the bench. */
const TARGETS = { falseAlarmsPer1000Hours: 2, cleanRunsWithOne: 0.2, found: 0.95, medianDelayHours: 9 }
const MOST_FACTOR = 4

/** Prints the tables. @returns Whether this library reached its targets. */
export function bench(seeds = SEEDS): boolean {
  const series = [...CLEAN, ...LEAKS]
  const hours = CLEAN.length * seeds * 168
  console.log(
    `${CLEAN.length} clean and ${LEAKS.length} leaking series, ${seeds} seeds: ${hours} clean hours`,
  )
  const all = measure(RULES, series, 1, seeds)
  const traces = RULES.map((rule) => readTraces().map((trace) => judgeTrace(traceRule(rule), trace)))
  print(RULES.map((rule, at) => rowOf(rule.name, figuresOf(all[at] ?? []), traces[at])))

  console.log('\nthis library on what its numbers were not chosen with')
  const others = measure([OURS, TREND_ALONE], series, OTHER_SEEDS_FROM, seeds)
  const mixtures = measure([OURS, TREND_ALONE], HOLD_OUT, OTHER_SEEDS_FROM, seeds)
  print([
    rowOf('other seeds', figuresOf(others[0] ?? [])),
    rowOf('other seeds, memory.sampling: false', figuresOf(others[1] ?? [])),
    rowOf('mixed programs', figuresOf(mixtures[0] ?? [])),
    rowOf('mixed programs, memory.sampling: false', figuresOf(mixtures[1] ?? [])),
  ])

  console.log(
    '\nrecorded programs, this library: heap at the alarm, as a multiple of the heap before the leak',
  )
  for (const { name, foundAtFactor } of traces[0] ?? []) {
    console.log(
      `  ${name.padEnd(16)} ${foundAtFactor === undefined ? 'silent' : `x ${foundAtFactor.toFixed(1)}`}`,
    )
  }
  return reaches(figuresOf(all[0] ?? []), traces[0] ?? [])
}

/** The allocations of the recorded programs were not recorded: the sites can only make an alarm wait. */
function traceRule(rule: Rule): Rule {
  return rule === OURS ? TREND_ALONE : rule
}

function measure(
  rules: readonly Rule[],
  series: readonly Series[],
  from: number,
  seeds: number,
): Outcome[][] {
  const outcomes: Outcome[][] = rules.map(() => [])
  for (const one of series) {
    for (let number = from; number < from + seeds; number++) {
      const drawn = run(one, number)
      rules.forEach((rule, at) => outcomes[at]?.push(judge(rule, drawn)))
    }
  }
  return outcomes
}

const HEAD = [
  '',
  'false alarms / 1000 h',
  'clean runs with one',
  'leaks found',
  'median delay h',
  'real leaks found, at heap x',
  'real clean ones silent',
]

function rowOf(name: string, figures: Figures, traces: readonly TraceOutcome[] = []): string[] {
  const { falseAlarmsPer1000Hours, cleanRunsWithOne, found, medianDelayHours } = figures
  const row = [
    name,
    falseAlarmsPer1000Hours.toFixed(1),
    `${(100 * cleanRunsWithOne).toFixed(0)} %`,
    `${(100 * found).toFixed(1)} %`,
    medianDelayHours.toFixed(1),
  ]
  if (traces.length === 0) return row
  const leaks = traces.filter((trace) => trace.leaks)
  const clean = traces.filter((trace) => !trace.leaks)
  const factors = leaks.flatMap(({ foundAtFactor }) => (foundAtFactor === undefined ? [] : [foundAtFactor]))
  const at =
    factors.length > 0 ? `, ${Math.min(...factors).toFixed(1)} to ${Math.max(...factors).toFixed(1)}` : ''
  const silent = clean.filter(({ foundAtFactor }) => foundAtFactor === undefined).length
  return [...row, `${factors.length} of ${leaks.length}${at}`, `${silent} of ${clean.length}`]
}

function print(rows: readonly string[][]): void {
  const table = [HEAD.slice(0, Math.max(...rows.map(({ length }) => length))), ...rows]
  const widths = HEAD.map((_, at) => Math.max(...table.map((row) => row[at]?.length ?? 0)))
  for (const row of table) {
    const cells = row.map((cell, at) =>
      at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0),
    )
    console.log(`  ${cells.join('  ')}`)
  }
}

function reaches(figures: Figures, traces: readonly TraceOutcome[]): boolean {
  const isFigure =
    figures.falseAlarmsPer1000Hours <= TARGETS.falseAlarmsPer1000Hours &&
    figures.cleanRunsWithOne <= TARGETS.cleanRunsWithOne &&
    figures.found >= TARGETS.found &&
    figures.medianDelayHours <= TARGETS.medianDelayHours
  return (
    isFigure &&
    traces.every(({ leaks, foundAtFactor }) => leaks === (foundAtFactor ?? MOST_FACTOR) < MOST_FACTOR)
  )
}
