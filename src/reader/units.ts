import type { Metric, Series } from './model'

/** Formats a share with one decimal: `96.5 %`. */
export function formatPercent(value: number): string {
  return `${value.toFixed(1)} %`
}

/** Formats a duration given in microseconds: `4.80 s`, `12.3 ms`. */
export function formatMicroseconds(value: number): string {
  return value >= 1e6 ? `${(value / 1e6).toFixed(2)} s` : `${(value / 1e3).toFixed(1)} ms`
}

/** Formats bytes in decimal units: `33.4 MB`. */
export function formatBytes(value: number): string {
  const size = Math.abs(value)
  if (size >= 1e9) return `${(value / 1e9).toFixed(2)} GB`
  if (size >= 1e6) return `${(value / 1e6).toFixed(1)} MB`
  return size >= 1e3 ? `${(value / 1e3).toFixed(1)} kB` : `${Math.round(value)} B`
}

/** Formats a rule's reading in the unit of its metric; without a metric, only the number. */
export function formatReading(metric: Metric | undefined, value: number): string {
  return metric === undefined ? String(value) : formatFigure(metric.unit, value)
}

/** Formats a number in its unit: `96.5 %`, `33.4 MB`, `120 ms`. */
export function formatFigure(unit: Series['unit'], value: number): string {
  if (unit === 'ms') return `${Math.round(value)} ms`
  return unit === 'percent' ? formatPercent(value) : formatBytes(value)
}

/** Formats a whole number: `2,000`. */
export function formatNumber(count: number): string {
  return String(count).replace(/\B(?=(?:\d{3})+$)/g, ',')
}

/** Formats a count with its noun: `1 object`, `2,000 objects`. */
export function formatCount(count: number, noun: string): string {
  return `${formatNumber(count)} ${noun}${count === 1 ? '' : 's'}`
}

/**
 * Characters beyond ASCII's control characters that a terminal would obey: C1 controls, marks that change the direction of
 * writing, line separators, a BOM.
 */
const OBEYED = '\\u007f-\\u009f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ufeff'
const IN_TEXT = new RegExp(`[\\u0000-\\u001f${OBEYED}]`, 'g')
const IN_JSON = new RegExp(`[${OBEYED}]`, 'g')

/**
 * Makes text from a file safe to print: characters that would move the cursor, or change colours or the direction of writing,
 * become escapes.
 */
export function printable(text: string): string {
  return text.replace(IN_TEXT, (character) => `\\u{${hexOf(character)}}`)
}

/** Formats a value as JSON that is safe to print on a terminal: control characters are escaped, which changes no value. */
export function printableJson(value: unknown): string {
  // JSON.stringify escapes ASCII's control characters in texts; only its own line breaks between the values are left.
  return JSON.stringify(value, null, 2).replace(
    IN_JSON,
    (character) => `\\u${hexOf(character).padStart(4, '0')}`,
  )
}

function hexOf(character: string): string {
  return character.charCodeAt(0).toString(16)
}
