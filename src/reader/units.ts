import type { Metric, Series } from './model'

/** One decimal, for shares: `96.5 %`. */
export function formatPercent(value: number): string {
  return `${value.toFixed(1)} %`
}

/** A duration given in microseconds: `4.80 s`, `12.3 ms`. */
export function formatMicroseconds(value: number): string {
  return value >= 1e6 ? `${(value / 1e6).toFixed(2)} s` : `${(value / 1e3).toFixed(1)} ms`
}

/** Bytes in decimal units: `33.4 MB`. */
export function formatBytes(value: number): string {
  const size = Math.abs(value)
  if (size >= 1e9) return `${(value / 1e9).toFixed(2)} GB`
  if (size >= 1e6) return `${(value / 1e6).toFixed(1)} MB`
  return size >= 1e3 ? `${(value / 1e3).toFixed(1)} kB` : `${Math.round(value)} B`
}

/** A reading of a rule in the unit of its metric; without one, the number alone. */
export function formatReading(metric: Metric | undefined, value: number): string {
  return metric === undefined ? String(value) : formatFigure(metric.unit, value)
}

/** A figure in its unit: `96.5 %`, `33.4 MB`, `120 ms`. */
export function formatFigure(unit: Series['unit'], value: number): string {
  if (unit === 'ms') return `${Math.round(value)} ms`
  return unit === 'percent' ? formatPercent(value) : formatBytes(value)
}

/** A whole number: `2,000`. */
export function formatNumber(count: number): string {
  return String(count).replace(/\B(?=(?:\d{3})+$)/g, ',')
}

/** `1 object`, `2,000 objects`. */
export function formatCount(count: number, noun: string): string {
  return `${formatNumber(count)} ${noun}${count === 1 ? '' : 's'}`
}

/** Besides the control characters of ASCII: C1, marks that change the direction of writing, separators of lines, a BOM. */
const OBEYED = '\\u007f-\\u009f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ufeff'
const IN_TEXT = new RegExp(`[\\u0000-\\u001f${OBEYED}]`, 'g')
const IN_JSON = new RegExp(`[${OBEYED}]`, 'g')

/**
 * Text of a file for a terminal: characters that would move the cursor, or change colours or the direction of writing, are
 * shown as escapes.
 */
export function printable(text: string): string {
  return text.replace(IN_TEXT, (character) => `\\u{${hexOf(character)}}`)
}

/** A value as JSON for a terminal: the same characters as in {@link printable} are escaped, which changes no value. */
export function printableJson(value: unknown): string {
  // Those of ASCII are escaped already; what is left of them are the line breaks between the values.
  return JSON.stringify(value, null, 2).replace(
    IN_JSON,
    (character) => `\\u${hexOf(character).padStart(4, '0')}`,
  )
}

function hexOf(character: string): string {
  return character.charCodeAt(0).toString(16)
}
