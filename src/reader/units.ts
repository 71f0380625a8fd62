import type { Metric, Series } from './model'

/** Formats a percentage, such as 96.5 (not the share 0.965), with one decimal: `96.5 %`. */
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

/** Returns `grew by 1.2 MB`, or `shrank by` for a negative number of bytes. */
export function growthInWords(grownBytes: number): string {
  return `${grownBytes < 0 ? 'shrank' : 'grew'} by ${formatBytes(Math.abs(grownBytes))}`
}

/** Formats a rule's reading or threshold in the unit of the rule's metric. Without a metric, the number alone is returned. */
export function formatReading(metric: Metric | undefined, value: number): string {
  return metric === undefined ? String(value) : formatFigure(metric.unit, value)
}

/** Formats a number in its unit: `96.5 %`, `33.4 MB`, `120 ms`. */
export function formatFigure(unit: Series['unit'], value: number): string {
  if (unit === 'ms') return `${Math.round(value)} ms`
  return unit === 'percent' ? formatPercent(value) : formatBytes(value)
}

/** Formats a whole number with commas between groups of three digits: `2,000`. */
export function formatNumber(count: number): string {
  return String(count).replace(/\B(?=(?:\d{3})+$)/g, ',')
}

/** Formats a count with its noun: `1 object`, `2,000 objects`. */
export function formatCount(count: number, noun: string): string {
  return `${formatNumber(count)} ${noun}${count === 1 ? '' : 's'}`
}

/**
 * Characters above U+001F that a terminal would obey or that change how text is shown, for a character class of a regular
 * expression: DEL, the C1 control characters, marks that change the direction of writing, line separators, a byte order mark.
 */
const OBEYED = '\\u007f-\\u009f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ufeff'
const IN_TEXT = new RegExp(`[\\u0000-\\u001f${OBEYED}]`, 'g')
const IN_JSON = new RegExp(`[${OBEYED}]`, 'g')

/**
 * Makes text from a file safe to print on a terminal: characters that would move the cursor, or change colours or the direction
 * of writing, become escapes such as `\u{1b}`.
 */
export function printable(text: string): string {
  return text.replace(IN_TEXT, (character) => `\\u{${hexOf(character)}}`)
}

/** Formats a value as JSON that is safe to print on a terminal. Control characters become escapes, which JSON.parse decodes. */
export function printableJson(value: unknown): string {
  // JSON.stringify itself escapes U+0000 to U+001F in strings. The line breaks that it puts between values stay as they are.
  return JSON.stringify(value, null, 2).replace(
    IN_JSON,
    (character) => `\\u${hexOf(character).padStart(4, '0')}`,
  )
}

function hexOf(character: string): string {
  return character.charCodeAt(0).toString(16)
}
