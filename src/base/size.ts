import type bytesPackage from 'bytes'
import { refuseStranger } from './strangers'

/**
 * Matches a size such as `'1.2gb'` as a whole. The package `bytes` alone parses the number at the start and ignores the
 * rest: `'1.2gbb'` and `'1g'` give 1, `'512m'` gives 512.
 */
const WHOLE_SIZE = /^\s*\d+(?:\.\d+)?\s*(?:b|kb|mb|gb|tb|pb)?\s*$/i

/** Converts a size such as `'1.2gb'` or `'512 MB'` to bytes. `undefined` when the text as a whole is not a finite size. */
export function parseSize(text: string): number | undefined {
  if (!WHOLE_SIZE.test(text)) return undefined
  const sizeBytes = bytes().parse(text.trim()) ?? undefined
  // A number of hundreds of digits becomes Infinity. A threshold of Infinity would never be exceeded.
  return Number.isFinite(sizeBytes) ? sizeBytes : undefined
}

/** Formats a number of bytes for people, e.g. `1.2GB`. */
export function formatSize(sizeBytes: number): string {
  try {
    return bytes().format(sizeBytes, { decimalPlaces: 1 }) ?? `${sizeBytes}B`
  } catch {
    // The package cannot be loaded without a free file descriptor; a log line with plain bytes is better than none.
    return `${sizeBytes}B`
  }
}

/** Loads the package `bytes` when a size is first converted. Refuses a copy of the package that belongs to another user. */
function bytes(): typeof bytesPackage {
  refuseStranger('bytes')
  return require('bytes') as typeof bytesPackage
}
