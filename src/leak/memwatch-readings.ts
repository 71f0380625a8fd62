import { createRequire } from 'node:module'
import type { GcReadings } from './gc-readings'

/** What the memwatch packages export, as far as it is used here. */
export interface Memwatch {
  on(event: 'stats', listener: (stats: MemwatchStats) => void): unknown
  removeListener(event: 'stats', listener: (stats: MemwatchStats) => void): unknown
}

/** Heap statistics of V8, taken in the GC's own epilogue. */
export interface MemwatchStats {
  /** Heap in use after the GC, bytes. */
  readonly used_heap_size: number
}

/** A memwatch package that loads on this machine, or why there is none. */
export type FoundMemwatch =
  | { readonly name: string; readonly memwatch: Memwatch }
  | { readonly missing: readonly { readonly name: string; readonly why: string }[] }

/** Names under which the package may be installed, in the order in which they are tried. */
export const MEMWATCH_NAMES = ['memwatch-next', '@airbnb/node-memwatch'] as const

/**
 * Loads the memwatch package. Loading puts native GC hooks into the process for good (after each full GC they send one
 * empty task through libuv's pool), so call it only when the package is to be used.
 *
 * @param load - How a package is loaded. Default: as this file's `require` does.
 */
export function findMemwatch(load: (name: string) => unknown = createRequire(__filename)): FoundMemwatch {
  const missing = []
  for (const name of MEMWATCH_NAMES) {
    try {
      return { name, memwatch: load(name) as Memwatch }
    } catch (error) {
      missing.push({ name, why: whyMissing(error) })
    }
  }
  return { missing }
}

/**
 * Readings from the `stats` event of a memwatch package, which comes after full GCs only.
 *
 * @param now - Monotonic ms.
 */
export function memwatchReadings(name: string, memwatch: Memwatch, now: () => number): GcReadings {
  return {
    source: name,
    start(onFullGc) {
      const onStats = (stats: MemwatchStats) => onFullGc({ atMs: now(), usedBytes: stats.used_heap_size })
      memwatch.on('stats', onStats)
      return () => void memwatch.removeListener('stats', onStats)
    },
  }
}

function whyMissing(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const isAbsent = 'code' in error && error.code === 'MODULE_NOT_FOUND'
  return isAbsent ? 'not installed' : `does not load: ${error.message.split('\n')[0]}`
}
