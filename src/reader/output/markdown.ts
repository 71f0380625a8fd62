import type { Report } from '../model'
import { locationOf } from '../place'
import { printable } from '../units'
import type { Table } from './tables'
import { circumstancesLines, figureLines, summaryOf, tablesOf } from './tables'

const ROWS = 20

/** Formats the report as Markdown, for an issue or a chat. The first line is the verdict. */
export function writeMarkdown({ verdict, circumstances, parts, others, notes }: Report): string {
  const blocks = [`**${escape(verdict.sentence)}**`]
  if (verdict.hint !== undefined) blocks.push(escape(verdict.hint))
  if (circumstances !== undefined)
    blocks.push(list([...circumstancesLines(circumstances), ...figureLines(circumstances)]))
  for (const part of parts) {
    blocks.push(`## ${escape(summaryOf(part))}`)
    if (part.verdict !== verdict) blocks.push(escape(part.verdict.sentence))
    if (part.kind === 'snapshot' && part.accumulation !== undefined) {
      blocks.push(`### What holds ${escape(part.accumulation.className)}`)
      blocks.push(
        list(
          part.accumulation.path.map(
            ({ text, place }) => text + (place === undefined ? '' : ` (${locationOf(place)})`),
          ),
        ),
      )
    }
    for (const table of tablesOf(part))
      if (table.rows.length > 0) blocks.push(`### ${escape(table.title)}`, tableOf(table))
    if (part.notes.length > 0) blocks.push(list(part.notes))
  }
  if (others.length > 0) blocks.push('## Other incidents', list(others))
  if (notes.length > 0) blocks.push(list(notes))
  return `${blocks.join('\n\n')}\n`
}

function tableOf({ columns, rows }: Table): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [
    line(columns.map(({ name }) => name)),
    line(columns.map(({ isNumber }) => (isNumber ? '---:' : '---'))),
    ...rows.slice(0, ROWS).map((row) => line(row.map(escape))),
  ].join('\n')
}

function list(lines: readonly string[]): string {
  return lines.map((text) => `- ${escape(text)}`).join('\n')
}

/** Escapes text from a file, so that it cannot act as Markdown, HTML or a line break. */
function escape(text: string): string {
  return printable(text).replace(/[\\`*_[\]<>|#&~]/g, (character) => `\\${character}`)
}
