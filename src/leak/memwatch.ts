import type { GcReadings } from './readings'

/** The exports of a memwatch package that this module uses. */
export interface Memwatch {
  on(event: 'stats', listener: (stats: MemwatchStats) => void): unknown
  removeListener(event: 'stats', listener: (stats: MemwatchStats) => void): unknown
}

/** V8's heap statistics, which the package reads at the end of a garbage collection. */
export interface MemwatchStats {
  /** Heap in use after the GC, bytes. */
  readonly used_heap_size: number
}

/**
 * Creates a source of heap readings from the `stats` event of a memwatch package, which is emitted after full GCs only.
 * Loading the package installs native GC hooks that cannot be removed: after each full GC they send one empty task
 * through libuv's thread pool.
 *
 * @param now - Returns monotonic ms.
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
