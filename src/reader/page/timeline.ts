import type { Circumstances } from '../model'
import { formatReading } from '../units'
import type { Html } from './html'
import { html } from './html'

const WIDTH = 960
const HEIGHT = 220
const LEFT = 90
const RIGHT = 20
const TOP = 20
const BOTTOM = 36

/** The readings before the dump with their threshold, as a drawing; nothing if there are fewer than two. */
export function drawTimeline({ kind, readings, threshold }: Circumstances): Html | undefined {
  const [first, last] = [readings[0], readings.at(-1)]
  if (first === undefined || last === undefined || readings.length < 2) return undefined
  const values = readings.map(({ value }) => value)
  const highest = Math.max(...values, threshold ?? 0, 1) * 1.1
  const x = (atMs: number): number =>
    LEFT + ((atMs - first.atMs) / Math.max(1, last.atMs - first.atMs)) * (WIDTH - LEFT - RIGHT)
  const y = (value: number): number => HEIGHT - BOTTOM - (value / highest) * (HEIGHT - TOP - BOTTOM)
  const points = readings.map(({ atMs, value }) => `${x(atMs).toFixed(1)},${y(value).toFixed(1)}`)
  const seconds = Math.round((last.atMs - first.atMs) / 1000)
  const summary =
    `${readings.length} readings over ${seconds} s before the dump: from ${formatReading(kind, Math.min(...values))} ` +
    `to ${formatReading(kind, Math.max(...values))}${threshold === undefined ? '' : `, threshold ${formatReading(kind, threshold)}`}`
  return html`<figure>
    <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${summary}">
      <line class="axis" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(0)}" y2="${y(0)}" />
      <text class="label" x="${LEFT - 10}" y="${y(0)}" text-anchor="end">${formatReading(kind, 0)}</text>
      <text class="label" x="${LEFT - 10}" y="${y(highest / 1.1) + 4}" text-anchor="end">
        ${formatReading(kind, highest / 1.1)}
      </text>
      ${threshold === undefined ? '' : limit(kind, threshold, y(threshold))}
      <polyline class="curve" points="${points.join(' ')}" />
      ${readings.map(
        ({ atMs, value }) =>
          html`<circle
            class="${threshold !== undefined && value > threshold ? 'point breach' : 'point'}"
            cx="${x(atMs).toFixed(1)}"
            cy="${y(value).toFixed(1)}"
            r="4"
          />`,
      )}
      <text class="label" x="${LEFT}" y="${HEIGHT - 10}">${timeOf(first.atMs)}</text>
      <text class="label" x="${WIDTH - RIGHT}" y="${HEIGHT - 10}" text-anchor="end">
        ${timeOf(last.atMs)}, the dump begins
      </text>
    </svg>
    <figcaption>${summary}.</figcaption>
  </figure>`
}

function limit(kind: 'cpu' | 'memory', threshold: number, y: number): Html {
  return html`<line class="limit" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y}" y2="${y}" />
    <text class="label" x="${LEFT + 8}" y="${y - 7}">threshold ${formatReading(kind, threshold)}</text>`
}

function timeOf(atMs: number): string {
  return new Date(atMs).toISOString().slice(11, 19)
}
