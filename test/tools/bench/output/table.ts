/**
 * One line per row, columns aligned: the first to the left, as it holds names, the others to the right. A row of two cells
 * is a name and why there are no figures; its second cell may be as long as it is.
 */
export function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const full = [head, ...rows.filter((cells) => cells.length === head.length)]
  const widths = head.map((_, at) => Math.max(...full.map((cells) => cells[at]?.length ?? 0)))
  const nameWidth = Math.max(widths[0] ?? 0, ...rows.map(([name]) => name?.length ?? 0))
  return [head, ...rows]
    .map((cells) => {
      const [name = '', ...others] = cells
      const padded =
        cells.length === head.length ? others.map((cell, at) => cell.padStart(widths[at + 1] ?? 0)) : others
      return [name.padEnd(nameWidth), ...padded].join('  ').trimEnd()
    })
    .join('\n')
}
