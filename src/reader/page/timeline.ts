import type { Circumstances, Series } from '../model'
import { formatFigure } from '../units'
import type { Html } from './html'
import { html } from './html'

const WIDTH = 960
const HEIGHT = 170
const LEFT = 90
const RIGHT = 20
const TOP = 20
const BOTTOM = 36
/**
 * Maximum time from the last reading to the beginning of the dump, ms. If it is exceeded, the dump had another cause or the clock
 * was set. The drawing then puts the dump at the last reading.
 */
const LONGEST_WAIT_MS = 10 * 60_000

interface Point {
  readonly atMs: number
  readonly value: number
}

interface Line {
  readonly name: string
  readonly points: readonly Point[]
}

/** One drawing of the timeline: curves with the same unit. */
interface Panel {
  readonly title: string
  readonly unit: Series['unit']
  readonly lines: readonly Line[]
  /** The readings of the rule that asked for the dump; empty if this drawing does not show the quantity of that rule. */
  readonly readings: readonly Point[]
  readonly threshold?: number
}

/** The range of time that all drawings of the timeline show. */
interface Span {
  readonly fromMs: number
  readonly toMs: number
  readonly dumpAtMs: number
}

/**
 * Draws the minutes before the dump, one drawing per quantity; nothing if there are fewer than two readings. The drawing of the
 * rule's metric also shows the rule's readings and threshold. If the flight recorder, which keeps figures of the last minutes,
 * does not keep this metric, the rule gets a drawing of its own.
 */
export function drawTimeline(circumstances: Circumstances): Html[] {
  const panels = panelsOf(circumstances).filter(({ lines }) => lines.some(({ points }) => points.length > 1))
  const times = panels.flatMap(({ lines, readings }) =>
    [...lines.flatMap(({ points }) => points), ...readings].map(({ atMs }) => atMs),
  )
  if (times.length === 0) return []
  const lastMs = Math.max(...times)
  const wait = circumstances.startedAtMs - lastMs
  const dumpAtMs = wait > 0 && wait <= LONGEST_WAIT_MS ? circumstances.startedAtMs : lastMs
  const span = { fromMs: Math.min(...times), toMs: dumpAtMs, dumpAtMs }
  return panels.map((panel) => draw(panel, span))
}

function panelsOf({ metric, readings, threshold, flight }: Circumstances): Panel[] {
  const rule = { readings, ...(threshold !== undefined && { threshold }) }
  const panel = (title: string, names: readonly string[]): Panel[] => {
    const series = flight?.series.filter(({ name }) => names.includes(name)) ?? []
    const lines = series.map(({ name, values }) => ({
      name,
      points: flight?.atMs.map((atMs, index) => ({ atMs, value: values[index] ?? NaN })) ?? [],
    }))
    const ofRule = title === metric?.name ? rule : { readings: [] }
    return series[0] === undefined ? [] : [{ title, unit: series[0].unit, lines, ...ofRule }]
  }
  const recorded = [
    ...panel('CPU', ['CPU']),
    ...panel('Memory', ['resident memory', 'used heap']),
    ...panel('Delay of the event loop', ['event loop delay']),
    ...panel('CPU for garbage collection', ['garbage collection']),
  ]
  if (metric === undefined || recorded.some(({ title }) => title === metric.name)) return recorded
  const { name, unit } = metric
  return [{ title: name, unit, lines: [{ name, points: readings }], ...rule }, ...recorded]
}

function draw(panel: Panel, { fromMs, toMs, dumpAtMs }: Span): Html {
  const { unit, lines, readings, threshold } = panel
  const highest = Math.max(1, threshold ?? 0, ...valuesOf(panel)) * 1.1
  const x = (atMs: number): number =>
    LEFT + ((atMs - fromMs) / Math.max(1, toMs - fromMs)) * (WIDTH - LEFT - RIGHT)
  const y = (value: number): number => HEIGHT - BOTTOM - (value / highest) * (HEIGHT - TOP - BOTTOM)
  const at = ({ atMs, value }: Point): string => `${x(atMs).toFixed(1)},${y(value).toFixed(1)}`
  const summary = summaryOf(panel, (toMs - fromMs) / 1000)
  // If all values are 0, the summary says everything, and no curve is drawn.
  if (valuesOf(panel).every((value) => value === 0)) return html`<p class="note">${summary}.</p>`
  return html`<figure>
    <figcaption>${summary}.</figcaption>
    <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${summary}">
      <line class="axis" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(0)}" y2="${y(0)}" />
      <text class="label" x="${LEFT - 10}" y="${y(0)}" text-anchor="end">${formatFigure(unit, 0)}</text>
      <text class="label" x="${LEFT - 10}" y="${y(highest / 1.1) + 4}" text-anchor="end">
        ${formatFigure(unit, highest / 1.1)}
      </text>
      ${threshold === undefined ? '' : limit(formatFigure(unit, threshold), y(threshold))}
      ${lines.flatMap(({ points }, index) =>
        knownRuns(points).map(
          (run) =>
            html`<polyline class="curve${index === 0 ? '' : ' second'}" points="${run.map(at).join(' ')}" />`,
        ),
      )}
      ${readings.map(
        ({ atMs, value }) =>
          html`<circle
            class="${threshold !== undefined && value > threshold ? 'point breach' : 'point'}"
            cx="${x(atMs).toFixed(1)}"
            cy="${y(value).toFixed(1)}"
            r="4"
          />`,
      )}
      <line class="dump" x1="${x(dumpAtMs)}" x2="${x(dumpAtMs)}" y1="${TOP}" y2="${y(0)}" />
      <text class="label" x="${LEFT}" y="${HEIGHT - 10}">${timeOf(fromMs)} UTC</text>
      <text class="label" x="${x(dumpAtMs)}" y="${HEIGHT - 10}" text-anchor="end">
        ${timeOf(dumpAtMs)} UTC, the dump begins
      </text>
    </svg>
  </figure>`
}

/** A drawing in words: the range of each curve, the threshold, and how many readings were above the threshold. */
function summaryOf({ title, unit, lines, readings, threshold }: Panel, seconds: number): string {
  const ranges = lines.map(({ name, points }, index) => {
    const values = points.map(({ value }) => value).filter((value) => !Number.isNaN(value))
    const range = `between ${formatFigure(unit, Math.min(...values))} and ${formatFigure(unit, Math.max(...values))}`
    return lines.length === 1 ? range : `${name}${index === 0 ? '' : ' (dashed)'} ${range}`
  })
  const count = lines[0]?.points.length ?? 0
  const text = `${title}, ${count} readings over ${Math.round(seconds)} s before the dump: ${ranges.join(', ')}`
  if (threshold === undefined) return text
  const breaches = readings.filter(({ value }) => value > threshold).length
  return `${text}, threshold ${formatFigure(unit, threshold)}; circles are the rule's readings, ${breaches} of them above the threshold`
}

function valuesOf({ lines, readings }: Panel): number[] {
  return [...lines.flatMap(({ points }) => points), ...readings]
    .map(({ value }) => value)
    .filter((value) => !Number.isNaN(value))
}

/** Divides a curve into runs of known readings: the curve is interrupted where a reading is not known. */
function knownRuns(points: readonly Point[]): Point[][] {
  const runs: Point[][] = [[]]
  for (const point of points) {
    if (Number.isNaN(point.value)) runs.push([])
    else runs.at(-1)?.push(point)
  }
  return runs.filter((run) => run.length > 0)
}

function limit(threshold: string, y: number): Html {
  return html`<line class="limit" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y}" y2="${y}" />
    <text class="label" x="${LEFT + 8}" y="${y - 7}">threshold ${threshold}</text>`
}

function timeOf(atMs: number): string {
  return new Date(atMs).toISOString().slice(11, 19)
}
