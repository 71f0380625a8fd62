import { type Report, settingInWords } from '../output/report'
import { spreadOf, withSpread } from '../output/statistics'
import { formatTable } from '../output/table'

export interface Row {
  readonly node: string
  readonly kind: string
  readonly work: string
  /** From the first instant above the threshold to the whole file, ms, of each round that had a file. */
  readonly wholeAfterMs: readonly number[]
  readonly without: number
}

/** As it is printed, and as docs/benchmarks.md has it. */
export function textOf({ setting, parameters, rows }: Report<readonly Row[]>): string {
  const nodes = [...new Set(rows.map(({ node }) => node))]
  const cases = [...new Set(rows.map(({ kind, work }) => `${kind}, ${work}`))]
  const lines = cases.map((each) => [
    each,
    ...nodes.map((node) =>
      cellOf(rows.find((row) => row.node === node && `${row.kind}, ${row.work}` === each)),
    ),
  ])
  return [
    settingInWords(setting),
    `ms from the first instant above the threshold to the whole file, ${parameters['rounds']} rounds, median (least-most)`,
    '',
    formatTable(['dump, main thread', ...nodes.map((node) => `Node ${node}`)], lines),
  ].join('\n')
}

function cellOf(row: Row | undefined): string {
  if (!row) return '-'
  const { wholeAfterMs, without } = row
  const missing = without > 0 ? `${without} without a file` : ''
  if (wholeAfterMs.length === 0) return missing
  return [withSpread(spreadOf(wholeAfterMs), (ms) => ms.toFixed(0)), missing].filter(Boolean).join(', ')
}
