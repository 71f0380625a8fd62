import type bytesPackage from 'bytes'

/**
 * The package `bytes` parses as much of a string as it can and ignores the rest: `'1.2gbb'` and `'1g'` give 1, `'512m'`
 * gives 512. So the whole string is checked first.
 */
const WHOLE_SIZE = /^\s*\d+(?:\.\d+)?\s*(?:b|kb|mb|gb|tb|pb)?\s*$/i

/** @returns The size in bytes, or `undefined` when the text as a whole is not a size such as `'1.2gb'` or `'512 MB'`. */
export function parseSize(text: string): number | undefined {
  if (!WHOLE_SIZE.test(text)) return undefined
  const sizeBytes = bytes().parse(text.trim()) ?? undefined
  // Hundreds of digits are Infinity, a threshold that nothing passes.
  return Number.isFinite(sizeBytes) ? sizeBytes : undefined
}

/** Formats bytes to be read by people, e.g. `1.2GB`. */
export function formatSize(sizeBytes: number): string {
  try {
    return bytes().format(sizeBytes, { decimalPlaces: 1 }) ?? `${sizeBytes}B`
  } catch {
    // Without a free descriptor the package cannot be loaded; a line with plain bytes is better than none.
    return `${sizeBytes}B`
  }
}

/** Loads the package on first use: an application whose thresholds are percentages does not need it. */
function bytes(): typeof bytesPackage {
  return require('bytes') as typeof bytesPackage
}
