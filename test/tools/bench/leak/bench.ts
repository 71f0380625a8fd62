import { deliver, reported } from '../output/report'
import { type Figures, figuresOf, judge, type Outcome } from './figures'
import { HOLD_OUT } from './hold-out'
import { OURS, type Rule, RULES, TREND_ALONE } from './rules'
import { CLEAN, LEAKS, run, type Series } from './series'
import { type Rows, textOf } from './text'
import { judgeTrace, readTraces, type TraceOutcome } from './traces'

/** Seeds with which no number of the rule was chosen. */
const OTHER_SEEDS_FROM = 1001

/** What this library must reach, with the defaults and on the series of the bench. */
const TARGETS = { falseAlarmsPer1000Hours: 2, cleanRunsWithOne: 0.2, found: 0.95, medianDelayHours: 9 }
const MOST_FACTOR = 4

export interface Terms {
  readonly seeds: number
  /** File for the figures. */
  readonly json: string | undefined
}

/** Prints the tables. @returns Whether this library reached its targets. */
export async function bench({ seeds, json }: Terms): Promise<boolean> {
  const report = await reported({ seeds }, () => Promise.resolve(measureAll(seeds)))
  deliver(report, textOf(report.parameters, report.rows), json)
  const [ours] = report.rows.rules
  return ours !== undefined && reaches(ours.figures, ours.traces)
}

function measureAll(seeds: number): Rows {
  const series = [...CLEAN, ...LEAKS]
  const traces = readTraces()
  const figuresAt = (outcomes: readonly Outcome[][], at: number): Figures => figuresOf(outcomes[at] ?? [])
  const all = measure(RULES, series, 1, seeds)
  const others = measure([OURS, TREND_ALONE], series, OTHER_SEEDS_FROM, seeds)
  const mixtures = measure([OURS, TREND_ALONE], HOLD_OUT, OTHER_SEEDS_FROM, seeds)
  return {
    series: { clean: CLEAN.length, leaking: LEAKS.length, cleanHours: CLEAN.length * seeds * 168 },
    rules: RULES.map((rule, at) => ({
      name: rule.name,
      figures: figuresAt(all, at),
      traces: traces.map((trace) => judgeTrace(traceRule(rule), trace)),
    })),
    others: [
      { name: 'other seeds', figures: figuresAt(others, 0) },
      { name: 'other seeds, memory.sampling: false', figures: figuresAt(others, 1) },
      { name: 'mixed programs', figures: figuresAt(mixtures, 0) },
      { name: 'mixed programs, memory.sampling: false', figures: figuresAt(mixtures, 1) },
    ],
  }
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
