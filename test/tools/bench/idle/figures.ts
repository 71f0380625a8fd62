import { digits, ratios, type Spread, spreadOf, withSpread } from '../output/statistics'
import { formatTable } from '../output/table'
import { type Share, SHARES, type Turn } from './measure'
import { NOTHING, NOTHING_AGAIN, OURS } from './variants'

/** All turns of a variant; or why there are none. */
export type Row =
  | { readonly variant: string; readonly watches: boolean; readonly turns: readonly Turn[] }
  | { readonly variant: string; readonly watches: boolean; readonly reason: string }

export interface Cost {
  /** Of the CPU per request, round by round against `nothing`. */
  readonly ratio: Spread
  /** Percent of the capacity: the CPU is what limits it, so a request that needs 1 % more leaves room for 1 % fewer. */
  readonly throughputPercent: number
}

/** At most this, percent of the requests or of the capacity, at 80 % of it. */
const MAX_COST_PERCENT = 0.5
const HEAD = ['requests/s', 'p50 ms', 'p99 ms', 'p99.9 ms', 'CPU us', 'ratio to nothing']

export function costOf(rows: readonly Row[], variant: string, share: Share): Cost | undefined {
  const [own, base] = [turnsOf(rows, variant), turnsOf(rows, NOTHING)].map((turns) =>
    turns.map(({ windows }) => windows[share].cpuUsPerRequest),
  )
  const each = ratios(own ?? [], base ?? [])
  if (each.length === 0) return undefined
  const ratio = spreadOf(each)
  return { ratio, throughputPercent: (1 - 1 / ratio.median) * 100 }
}

/** A table for each load. */
export function tablesOf(rows: readonly Row[]): string {
  const tables = SHARES.map((share) => {
    const lines = rows.map((row) => lineOf(rows, row, share))
    return formatTable([`${share} % of capacity`, ...HEAD], lines)
  })
  const memory = rows.map((row) => {
    if ('reason' in row) return [row.variant, row.reason]
    const [capacity, rss] = [
      spreadOf(row.turns.map((turn) => turn.capacity)),
      spreadOf(row.turns.map((turn) => turn.rssMb)),
    ]
    return [row.variant, withSpread(capacity), withSpread(rss)]
  })
  return [...tables, formatTable(['as fast as it answers', 'requests/s', 'RSS MB'], memory)].join('\n\n')
}

/** How many percent fewer than the variant with the most are answered at 80 % of the capacity; all, if a request has failed. */
function missingPercent(rows: readonly Row[], variant: string): number {
  const answered = (of: string) => {
    const windows = turnsOf(rows, of).map((turn) => turn.windows[80])
    const isWhole = windows.length > 0 && windows.every(({ failed }) => failed === 0)
    return isWhole ? spreadOf(windows.map(({ perSecond }) => perSecond)).median : 0
  }
  const most = Math.max(...rows.map((row) => answered(row.variant)))
  return most > 0 ? (1 - answered(variant) / most) * 100 : 100
}

/** What this library promises at 80 %, and whether it holds; undefined where the run cannot decide. */
export function promises(rows: readonly Row[]): Readonly<Record<string, boolean | undefined>> {
  const [missing, ofNothing] = [missingPercent(rows, OURS), missingPercent(rows, NOTHING)]
  const cost = costOf(rows, OURS, 80)?.throughputPercent ?? Infinity
  const noise = Math.abs(costOf(rows, NOTHING_AGAIN, 80)?.throughputPercent ?? Infinity)
  const p99 = (variant: string) => turnsOf(rows, variant).map(({ windows }) => windows[80].p99Ms)
  const [ours, nothing] = [p99(OURS), [...p99(NOTHING), ...p99(NOTHING_AGAIN)]]
  const peers = rows.filter(({ variant, watches }) => watches && !variant.startsWith(OURS))
  const lowest = Math.min(
    ...peers.map(({ variant }) => costOf(rows, variant, 80)?.throughputPercent ?? Infinity),
  )
  const resolved = `the run resolves ${digits(noise)} %`
  return {
    [`at 80 % ${OURS} keeps up with the load: ${missing.toFixed(2)} % not answered in time, at most ${MAX_COST_PERCENT} %`]:
      ofNothing <= MAX_COST_PERCENT ? missing <= MAX_COST_PERCENT : undefined,
    'its p99 is within the spread of nothing':
      ours.length > 0 && spreadOf(ours).median <= spreadOf(nothing).most,
    [`its CPU costs at most ${MAX_COST_PERCENT} % of the throughput, as far as ${resolved}: ${digits(cost)} %`]:
      noise < Infinity ? cost <= MAX_COST_PERCENT + noise : undefined,
    [`no peer that watches costs less, as far as ${resolved}: the lowest ${digits(lowest)} %`]:
      lowest < Infinity && noise < Infinity ? cost <= lowest + noise : undefined,
  }
}

function lineOf(rows: readonly Row[], row: Row, share: Share): string[] {
  if ('reason' in row) return [row.variant, row.reason]
  const windows = row.turns.map((turn) => turn.windows[share])
  const spread = (figure: keyof (typeof windows)[number]) => spreadOf(windows.map((window) => window[figure]))
  const failed = windows.reduce((sum, window) => sum + window.failed, 0)
  const perSecond = digits(spread('perSecond').median)
  const ratio = costOf(rows, row.variant, share)?.ratio
  return [
    failed > 0 ? `${row.variant} (${failed} failed)` : row.variant,
    perSecond,
    digits(spread('p50Ms').median),
    withSpread(spread('p99Ms')),
    withSpread(spread('p999Ms')),
    withSpread(spread('cpuUsPerRequest')),
    ratio && row.variant !== NOTHING ? withSpread(ratio, (value) => value.toFixed(3)) : '',
  ]
}

function turnsOf(rows: readonly Row[], variant: string): readonly Turn[] {
  const row = rows.find((each) => each.variant === variant)
  return row && 'turns' in row ? row.turns : []
}
