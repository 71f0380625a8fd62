import { type Report, settingInWords } from '../output/report'
import { type Row, tablesOf } from './figures'

/** As it is printed, and as docs/benchmarks.md has it. */
export function textOf({ setting, parameters, rows }: Report<readonly Row[]>): string {
  const rounds = `${parameters['rounds']} rounds, median (least-most)`
  return [settingInWords(setting), rounds, '', tablesOf(rows)].join('\n')
}
