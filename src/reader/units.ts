import type { Series } from './model'

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

/** A reading of the monitor: percent of a core, or bytes. */
export function formatReading(kind: 'cpu' | 'memory', value: number): string {
  return kind === 'cpu' ? formatPercent(value) : formatBytes(value)
}

/** A figure in its unit: `96.5 %`, `33.4 MB`, `120 ms`. */
export function formatFigure(unit: Series['unit'], value: number): string {
  if (unit === 'ms') return `${Math.round(value)} ms`
  return unit === 'percent' ? formatPercent(value) : formatBytes(value)
}

/** `1 object`, `2000 objects`. */
export function formatCount(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}

/**
 * Text of a file for a terminal: characters that would move the cursor, or change colours or the direction of writing, are
 * shown as escapes.
 */
export function printable(text: string): string {
  return text.replace(
    // eslint-disable-next-line no-control-regex -- control characters are what this looks for.
    /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
    (character) => `\\u{${character.codePointAt(0)?.toString(16) ?? ''}}`,
  )
}
