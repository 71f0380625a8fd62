import type { Report } from '../model'
import { locationOf } from '../place'
import { printable } from '../units'
import type { Table } from './tables'
import { circumstancesLines, figureLines, summaryOf, tablesOf } from './tables'

/** Maximum number of rows in each table of the text; the page and JSON have more. */
const ROWS = 10

/** Formats the report for a terminal. The first line is the verdict. */
export function writeText({ verdict, circumstances, parts, others, notes }: Report): string {
  const lines = [verdict.sentence, ...(verdict.hint === undefined ? [] : [verdict.hint]), '']
  if (circumstances !== undefined)
    lines.push(...circumstancesLines(circumstances), ...figureLines(circumstances), '')
  for (const part of parts) {
    lines.push(summaryOf(part))
    if (part.verdict !== verdict) lines.push(part.verdict.sentence)
    lines.push('')
    if (part.kind === 'snapshot' && part.accumulation !== undefined) {
      lines.push(`What holds ${part.accumulation.className}, from the object to a root`)
      lines.push(
        ...part.accumulation.path.map(
          ({ text, place }) => `  ${text}${place === undefined ? '' : ` (${locationOf(place)})`}`,
        ),
        '',
      )
    }
    for (const table of tablesOf(part)) if (table.rows.length > 0) lines.push(...tableLines(table), '')
    lines.push(...part.notes.map((note) => `Note: ${note}`), '')
  }
  if (others.length > 0)
    lines.push(
      'Other incidents in this directory, the newest first',
      ...others.map((line) => `  ${line}`),
      '',
    )
  lines.push(...notes.map((note) => `Note: ${note}`))
  return `${lines
    .map(printable)
    .join('\n')
    .replace(/\n{3,}/g, '\n\n')
    .trimEnd()}\n`
}

function tableLines({ title, columns, rows, details }: Table): string[] {
  const shown = rows.slice(0, ROWS).map((row) => row.map(printable))
  const widths = columns.map(({ isNumber }, column) =>
    isNumber ? Math.max(...shown.map((row) => row[column]?.length ?? 0)) : 0,
  )
  const lines = [title]
  shown.forEach((row, index) => {
    lines.push(`  ${row.map((cell, column) => cell.padStart(widths[column] ?? 0)).join('  ')}`.trimEnd())
    const detail = details?.[index] ?? ''
    if (detail !== '') lines.push(`      ${detail}`)
  })
  return lines
}
