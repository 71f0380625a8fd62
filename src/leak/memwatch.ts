import type { GcReadings } from './readings'

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

/**
 * Readings from the `stats` event of a memwatch package, which comes after full GCs only. Loading the package puts native
 * GC hooks into the process for good: after each full GC they send one empty task through libuv's pool.
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
