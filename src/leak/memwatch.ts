import type { GcReadings } from './readings'

/** The part of the memwatch packages' exports that is used here. */
export interface Memwatch {
  on(event: 'stats', listener: (stats: MemwatchStats) => void): unknown
  removeListener(event: 'stats', listener: (stats: MemwatchStats) => void): unknown
}

/** Heap statistics of V8, which the package takes at the end of a garbage collection. */
export interface MemwatchStats {
  /** Heap in use after the GC, bytes. */
  readonly used_heap_size: number
}

/**
 * Readings from the `stats` event of a memwatch package, which comes after full GCs only. Loading the package installs native
 * GC hooks that stay in the process: after each full GC they send one empty task through libuv's pool.
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
