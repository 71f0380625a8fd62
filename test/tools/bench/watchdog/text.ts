import { type Report, settingInWords } from '../output/report'
import { formatTable } from '../output/table'

export interface Rows {
  /** CPU of the main thread. */
  readonly cases: readonly { readonly name: string; readonly usPerSecond: number }[]
  /** Resident memory of the thread above an empty Worker. */
  readonly threadMb: number
}

/** As it is printed, and as docs/benchmarks.md has it. */
export function textOf({ setting, parameters, rows }: Report<Rows>): string {
  const { seconds, rounds } = parameters
  const lines = rows.cases.map(({ name, usPerSecond }) => [
    name,
    usPerSecond.toFixed(0),
    percentOfCore(usPerSecond),
  ])
  return [
    settingInWords(setting),
    `median of ${rounds} rounds of ${seconds} s`,
    '',
    formatTable(['CPU of an idle main thread', 'us/s', '% of a core'], lines),
    '',
    `the thread: ${rows.threadMb.toFixed(1)} MB of RSS above an empty Worker`,
  ].join('\n')
}

export function percentOfCore(usPerSecond: number): string {
  const percent = usPerSecond / 1e4
  return percent.toFixed(percent < 0.1 ? 3 : 2)
}
