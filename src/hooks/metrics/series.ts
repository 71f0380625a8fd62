import type { ClusterStats } from '../../cluster/handle'
import type { MonitorStats } from '../../monitor/monitor'

export type Stats = MonitorStats | ClusterStats

/** One number of a metric, with the labels that distinguish it from the metric's other numbers. */
export interface Point {
  readonly value: number
  readonly labels?: Readonly<Record<string, string>>
}

/** One metric: its name, its description, and a function that reads its numbers. */
export interface Series<Source = Stats> {
  /** Name that follows the conventions of OpenTelemetry. */
  readonly name: string
  readonly kind: 'gauge' | 'counter'
  /** Unit in UCUM notation: `By` for bytes, `1` for a ratio, and what is counted in braces, such as `{dump}`, for a count. */
  readonly unit: string
  readonly description: string
  readonly labels: readonly string[]
  readonly read: (stats: Source) => readonly Point[]
}

/** Returns the metrics of a monitor, or those of a cluster's primary, depending on the kind of `stats`. */
export function seriesFor(stats: Stats): readonly Series[] {
  // The cast is safe: each list is only read with the kind of stats by which it was chosen.
  return ('workers' in stats ? CLUSTER : MONITOR) as readonly Series[]
}

/**
 * Returns the name of a metric by the conventions of Prometheus, as OpenTelemetry's specification converts it: dots become
 * underscores, bytes and ratios get the suffix of their unit, and counters get the suffix `total`.
 */
export function prometheusName({ name, kind, unit }: Series): string {
  const suffixes = [UNIT_SUFFIXES[unit], kind === 'counter' ? 'total' : undefined]
  return [name.replaceAll('.', '_'), ...suffixes].filter((part) => part !== undefined).join('_')
}

const UNIT_SUFFIXES: Readonly<Record<string, string>> = { By: 'bytes', '1': 'ratio' }

/**
 * Reasons for dumps whose counters are exported as 0 from the start. A counter that first appears with 1 shows no increase, so
 * alerts would miss the first dump. Other reasons, such as the names of the user's rules, appear with their first dump.
 */
const DUMP_REASONS = {
  cpu: ['threshold', 'blocked', 'manual'],
  memory: ['threshold', 'leak', 'heap-limit', 'manual'],
} as const
/** Reasons for skipped dumps whose counters are exported as 0 from the start, so that alerts notice the first skipped dump. */
const SKIP_REASONS = [
  'limited',
  'fleet',
  'busy',
  'memory',
  'disk',
  'stopped',
] as const satisfies readonly (keyof MonitorStats['skips'])[]
const WORKER_STATES = ['starting', 'ready', 'draining', 'leaving'] as const
const KINDS = ['cpu', 'memory'] as const

/** Factor that converts CPU use from percent of one core, as the monitor reads it, to a ratio. */
const PERCENT = 0.01

const MONITOR: readonly Series<MonitorStats>[] = [
  gauge(
    'cpu.usage',
    '1',
    'CPU use of the process at the latest reading; 1 is one core',
    ({ rules: { cpu } }) => some(cpu?.latest && cpu.latest.value * PERCENT),
  ),
  gauge('cpu.threshold', '1', 'CPU threshold in force; 1 is one core', ({ rules: { cpu } }) =>
    some(cpu && cpu.threshold * PERCENT),
  ),
  gauge('memory.usage', 'By', 'Resident memory of the process at the latest reading', ({ rules }) =>
    some(rules.memory?.latest?.value),
  ),
  gauge('memory.threshold', 'By', 'Memory threshold in force', ({ rules }) => some(rules.memory?.threshold)),
  gauge(
    'rule.level',
    '1',
    'Latest reading of a rule as a share of its threshold; above 1 is a breach',
    perRule(({ latest, threshold }) =>
      // A ratio to a threshold of 0 has no meaning.
      latest !== undefined && threshold > 0 ? latest.value / threshold : undefined,
    ),
    ['rule'],
  ),
  gauge(
    'rule.breaches',
    '{reading}',
    'Consecutive readings above the threshold, up to the latest reading; 0 again once they have made a dump due',
    perRule(({ breaches }) => breaches),
    ['rule'],
  ),
  gauge(
    'rule.breach_limit',
    '{reading}',
    'Number of consecutive readings above the threshold that triggers a dump',
    perRule(({ counter }) => counter),
    ['rule'],
  ),
  gauge(
    'rule.budget.left',
    '{dump}',
    'Dumps that the limiter still allowed at the latest reading',
    perRule(({ budget }) => budget.left),
    ['rule'],
  ),
  gauge(
    'rule.budget.limit',
    '{dump}',
    'Dumps that the limiter allows per interval',
    perRule(({ budget }) => budget.tokensPerInterval),
    ['rule'],
  ),
  counter(
    'rule.readings',
    '{reading}',
    'Readings taken',
    perRule(({ readings }) => readings),
    ['rule'],
  ),
  counter(
    'dumps',
    '{dump}',
    'Dumps made, by kind and by reason: the rule or request that caused them',
    ({ dumpsByRule }) =>
      KINDS.flatMap((kind) =>
        counts(DUMP_REASONS[kind], dumpsByRule[kind]).map(([reason, value]) => ({
          value,
          labels: { kind, reason },
        })),
      ),
    ['kind', 'reason'],
  ),
  counter(
    'skips',
    '{dump}',
    'Dumps that were due but were not made, by reason',
    ({ skips }) => counts(SKIP_REASONS, skips).map(([reason, value]) => ({ value, labels: { reason } })),
    ['reason'],
  ),
  counter('leaks', '{leak}', 'Leaks found', ({ leaks }) => some(leaks)),
  counter('failures', '{failure}', 'Failures that the monitor reported', ({ failures }) => some(failures)),
]

const CLUSTER: readonly Series<ClusterStats>[] = [
  gauge('cluster.target_workers', '{worker}', 'Wanted number of workers', ({ count }) => some(count)),
  gauge(
    'cluster.workers',
    '{worker}',
    'Workers by state',
    ({ workers }) =>
      WORKER_STATES.map((state) => ({
        value: workers.filter((worker) => worker.state === state).length,
        labels: { state },
      })),
    ['state'],
  ),
  gauge(
    'cluster.workers_over_limit',
    '{worker}',
    'Workers above their memory limit, including those that drain because of it',
    ({ workers }) => some(workers.filter(({ over }) => over).length),
  ),
  counter('cluster.forks', '{worker}', 'Workers forked', ({ forks }) => some(forks)),
  counter('cluster.recycled', '{worker}', 'Workers replaced', ({ recycled }) => some(recycled)),
  counter(
    'cluster.crashes',
    '{worker}',
    'Workers lost: ended without an order, not ready in time, not started, or cut off from the primary',
    ({ crashes }) => some(crashes),
  ),
]

type Rule = NonNullable<MonitorStats['rules']['cpu']>

function gauge<Source>(...rest: Rest<Source>): Series<Source> {
  return series('gauge', ...rest)
}

function counter<Source>(...rest: Rest<Source>): Series<Source> {
  return series('counter', ...rest)
}

type Rest<Source> = [
  name: string,
  unit: string,
  description: string,
  read: Series<Source>['read'],
  labels?: readonly string[],
]

function series<Source>(
  kind: Series['kind'],
  ...[name, unit, description, read, labels = []]: Rest<Source>
): Series<Source> {
  return { name: `cpu_memory_monitor.${name}`, kind, unit, description, read, labels }
}

/** Returns the one number of a metric without labels, or no number for `undefined`: a 0 would look like a reading. */
function some(value: number | undefined): readonly Point[] {
  return value === undefined ? [] : [{ value }]
}

function perRule(valueOf: (rule: Rule) => number | undefined): (stats: MonitorStats) => readonly Point[] {
  return ({ rules }) =>
    Object.entries(rules).flatMap(([rule, stats]) =>
      some(stats && valueOf(stats)).map((point) => ({ ...point, labels: { rule } })),
    )
}

function counts(
  known: readonly string[],
  counted: Readonly<Partial<Record<string, number>>>,
): [reason: string, count: number][] {
  const reasons = new Set([...known, ...Object.keys(counted)])
  return [...reasons].map((reason) => [reason, counted[reason] ?? 0])
}
