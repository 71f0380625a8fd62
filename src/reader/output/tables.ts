import type { CallTree, Circumstances, Flight, FunctionGrowth, FunctionRow, Part, Place } from '../model'
import { describePlace, isUserCode, locationOf } from '../place'
import {
  formatBytes,
  formatCount,
  formatFigure,
  formatMicroseconds,
  formatPercent,
  formatReading,
  growthInWords,
} from '../units'

/** A table of the report, for all output formats. */
export interface Table {
  readonly title: string
  readonly columns: readonly { readonly name: string; readonly isNumber: boolean }[]
  readonly rows: readonly (readonly string[])[]
  /** For each row, a text that is shown below it, such as the callers of a function; an empty text is not shown. */
  readonly details?: readonly string[]
}

const number = (name: string) => ({ name, isNumber: true })
const text = (name: string) => ({ name, isNumber: false })

/** The tables on one file of the report, the most useful first. */
export function tablesOf(part: Part): Table[] {
  switch (part.kind) {
    case 'cpu':
      return callTables(part.calls, formatMicroseconds, [
        'Time in the function itself',
        'Time in the function and what it calls',
      ])
    case 'allocation':
      return callTables(part.calls, formatBytes, [
        'Live bytes allocated by the function',
        'Live bytes allocated by the function and what it calls',
      ])
    case 'snapshot':
      return [
        {
          title: 'Classes by retained size',
          columns: [
            number('Retained'),
            number('Share'),
            number('Shallow'),
            number('Objects'),
            text('Class'),
            text('Where'),
          ],
          rows: part.classes
            .filter(({ isSystem }) => !isSystem)
            .map((row) => [
              formatBytes(row.retainedBytes),
              formatPercent(row.retainedPercent),
              formatBytes(row.shallowBytes),
              String(row.count),
              row.name,
              where(row.place),
            ]),
        },
        {
          title: 'What is in the snapshot',
          columns: [number('Size'), text('Kind')],
          rows: part.makeup.map(({ name, bytes }) => [formatBytes(bytes), name]),
        },
        {
          title: 'Largest single objects',
          columns: [number('Size'), text('Object')],
          rows: part.largest.slice(0, 10).map(({ name, bytes }) => [formatBytes(bytes), name]),
        },
        {
          title: 'Largest arrays, maps and buffers',
          columns: [number('Size'), number('Slots'), text('Owner'), text('Elements'), text('Held by')],
          rows: part.arrays.map(({ name, bytes, slots, elements, heldBy }) => [
            formatBytes(bytes),
            slots === undefined ? '' : String(slots),
            name,
            elements.length === 0
              ? 'numbers or bytes'
              : elements.map(({ className, count }) => `${count} ${className}`).join(', '),
            heldBy,
          ]),
        },
        {
          title: 'Variables that functions keep alive',
          columns: [
            number('Retained'),
            number('Scopes'),
            text('Function'),
            text('Where'),
            text('Variables'),
            text('Held by'),
          ],
          rows: part.scopes.map(({ name, place, count, retainedBytes, variables, heldBy }) => [
            formatBytes(retainedBytes),
            String(count),
            name,
            where(place),
            variables.join(', '),
            heldBy,
          ]),
        },
        {
          title: 'Strings that occur more than once',
          columns: [number('Size'), number('Times'), text('String')],
          rows: part.duplicateStrings
            .slice(0, 10)
            .map(({ text: string, count, bytes }) => [formatBytes(bytes), String(count), string]),
        },
      ]
    case 'cpu-growth':
      return [
        growthTable(`Functions with a larger share or more time than in ${part.before}`, part.grown),
        growthTable(`Functions with a smaller share or less time than in ${part.before}`, part.shrunk),
      ]
    case 'growth':
      return [
        {
          title: `Growth by class since ${part.before}`,
          columns: [
            number('Retained'),
            number('Shallow'),
            number('Objects'),
            number('Now'),
            text('Class'),
            text('Where'),
          ],
          rows: part.classes.map((row) => [
            signed(row.retainedGrowth, formatBytes),
            signed(row.shallowGrowth, formatBytes),
            signed(row.countGrowth, String),
            String(row.count),
            row.name,
            where(row.place),
          ]),
        },
      ]
  }
}

/** A summary of one file of the report, in one line. */
export function summaryOf(part: Part): string {
  switch (part.kind) {
    case 'cpu': {
      const { busy, idle, collector, program } = part.shares
      return (
        `CPU profile ${part.file}: ${(part.durationMs / 1000).toFixed(1)} s, ${formatCount(part.samples, 'sample')}; idle ${formatPercent(idle)}, ` +
        `busy ${formatPercent(busy)} (including garbage collector ${formatPercent(collector)}, native code ${formatPercent(program)})`
      )
    }
    case 'allocation':
      return `Sampling heap profile ${part.file}: ${formatBytes(part.bytes)} alive`
    case 'snapshot':
      return (
        `Heap snapshot ${part.file}: ${formatBytes(part.totalBytes)} in ${formatCount(part.objects, 'object')}, ` +
        `${formatBytes(part.nativeBytes)} of it outside of the heap`
      )
    case 'cpu-growth':
      return (
        `CPU profile ${part.file} compared with ${part.before}: ` +
        `busy ${formatPercent(part.beforeBusyPercent)} before, ${formatPercent(part.busyPercent)} now`
      )
    case 'growth':
      return `From ${part.before} to ${part.file} the snapshot ${growthInWords(part.grownBytes)}`
  }
}

/** Lines of text that say why, when, where and how the dump was made, with the last readings of its rule. */
export function circumstancesLines(facts: Circumstances): string[] {
  const { rule, details, readings, threshold, metric, startedAtMs, pid, host, node, way, pauseMs } = facts
  const values = readings.slice(-5).map(({ value }) => formatReading(metric, value))
  const lines = [
    `Why: ${rule} ${facts.kind}${details.length > 0 ? ` (${details.map(({ name, text: value }) => `${name} ${value}`).join(', ')})` : ''}`,
    `When: ${startedAtMs > 0 ? new Date(startedAtMs).toISOString() : 'unknown'}`,
    `Where: pid ${pid ?? 'unknown'}${host === undefined ? '' : ` on ${host}`}${node === undefined ? '' : `, Node.js ${node}`}`,
  ]
  if (values.length > 0) {
    const limit = threshold === undefined ? '' : `, threshold ${formatReading(metric, threshold)}`
    lines.push(`Last readings: ${values.join(', ')}${limit}`)
  }
  if (way !== undefined)
    lines.push(
      `How: ${way}${pauseMs === undefined ? '' : `, which paused the thread for ${Math.round(pauseMs)} ms`}`,
    )
  return lines
}

/** The figures that the HTML page draws, in words: the minutes before the dump, CPU by thread and memory by owner. */
export function figureLines({ flight, threads, memory }: Circumstances): string[] {
  const lines: string[] = []
  if (flight !== undefined) lines.push(`Before the dump: ${rangesOf(flight)}`)
  if (threads.length > 0)
    lines.push(
      `CPU by thread, percent of a core: ${threads.map(({ name, percent }) => `${name} ${formatPercent(percent)}`).join(', ')}`,
    )
  if (memory.length > 0)
    lines.push(
      `Memory by owner: ${memory.map(({ name, bytes }) => `${name} ${formatBytes(bytes)}`).join(', ')}`,
    )
  return lines
}

/** The lowest and highest reading of each figure in the minutes before the dump, in words. */
function rangesOf({ atMs, series }: Flight): string {
  const seconds = Math.round(((atMs.at(-1) ?? 0) - (atMs[0] ?? 0)) / 1000)
  const ranges = series.map(({ name, unit, values }) => {
    const known = values.filter((value) => !Number.isNaN(value))
    const [least, most] = [Math.min(...known), Math.max(...known)]
    return `${name} ${formatFigure(unit, least)} to ${formatFigure(unit, most)}`
  })
  return `${seconds} s with ${ranges.join(', ')}`
}

function callTables(
  calls: CallTree,
  format: (value: number) => string,
  [self = '', total = '']: readonly string[],
): Table[] {
  const columns = [number('Share'), number('Amount'), text('Function'), text('Where'), text('Package')]
  return [
    {
      title: self,
      columns,
      rows: calls.bySelf.map((row) => [
        formatPercent(row.selfPercent),
        format(row.self),
        row.place.name,
        where(row.place),
        row.group,
      ]),
      details: calls.bySelf.map(detailsOf),
    },
    {
      title: total,
      columns,
      rows: calls.byTotal.map((row) => [
        formatPercent(row.totalPercent),
        format(row.total),
        row.place.name,
        where(row.place),
        row.group,
      ]),
    },
    {
      title: 'By package',
      columns: [number('Share'), number('Amount'), text('Package')],
      rows: calls.groups.map(({ name, self: amount, percent }) => [
        formatPercent(percent),
        format(amount),
        name,
      ]),
    },
  ]
}

function growthTable(title: string, functions: readonly FunctionGrowth[]): Table {
  return {
    title,
    columns: [
      number('Change'),
      number('Before'),
      number('Now'),
      number('Per second before'),
      number('Per second now'),
      text('Function'),
      text('Where'),
      text('Package'),
    ],
    rows: functions.map(({ place, group, beforePercent, percent, growthPercent, beforeMs, ms }) => [
      signed(growthPercent, formatPercent),
      formatPercent(beforePercent),
      formatPercent(percent),
      formatFigure('ms', beforeMs),
      formatFigure('ms', ms),
      place.name,
      where(place),
      group,
    ]),
  }
}

function detailsOf(row: FunctionRow): string {
  return [callersOf(row), hotLineOf(row)].filter((part) => part !== '').join('; ')
}

function hotLineOf({ place, hotLine }: FunctionRow): string {
  if (hotLine === undefined || !isUserCode(place)) return ''
  const { line, percent, isInlined } = hotLine
  return `hottest line ${line}${isInlined ? ' of an inlined function' : ''}, ${formatPercent(percent)}`
}

function callersOf({ callers }: FunctionRow): string {
  if (callers.length === 0) return ''
  return `called by ${callers.map(({ place, percent }) => `${describePlace(place)} ${formatPercent(percent)}`).join('; ')}`
}

function where(place: Place | undefined): string {
  return place === undefined ? '' : locationOf(place)
}

function signed(value: number, format: (value: number) => string): string {
  return value > 0 ? `+${format(value)}` : format(value)
}
