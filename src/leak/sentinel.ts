import { getHeapSpaceStatistics } from 'node:v8'
import type { GcReadings } from './readings'

/** Keeps the registries alive: one that nothing refers to is collected, and its callbacks never run. */
const registries = new Set<FinalizationRegistry<undefined>>()

/**
 * Readings by Node's own means. A sentinel (an object that nothing refers to) lies in the old generation; only a full
 * GC finds it dead, and its finalizer takes the reading and creates the next sentinel. Between two full GCs nothing
 * runs.
 *
 * Why not a `PerformanceObserver` for `gc`: it makes an entry for every scavenge too, and it is reported to set off GC
 * after GC on Node 24 and later (https://github.com/nodejs/node/issues/62721).
 *
 * Full GCs that follow each other within one turn of the event loop give one reading, as the finalizer waits for the
 * turn to end.
 *
 * @param now - Monotonic ms.
 */
export function sentinelReadings(now: () => number): GcReadings {
  return {
    source: 'builtin',
    start(onFullGc) {
      const token = {}
      const registry = new FinalizationRegistry<undefined>(() => {
        if (!registries.has(registry)) return
        layOut()
        onFullGc({ atMs: now(), usedBytes: oldGenerationBytes() })
      })
      // V8 creates symbols in the old generation. An object starts in the young one, where a scavenge frees it since
      // Node 26.
      const layOut = () => registry.register(Symbol('cpu-memory-monitor: full GC'), undefined, token)
      registries.add(registry)
      layOut()
      return () => {
        registries.delete(registry)
        registry.unregister(token)
      }
    },
  }
}

/**
 * Heap in use after the last full GC, bytes. A full GC moves all survivors to the old generation, and nearly all that
 * is allocated between its end and the finalizer starts in the young one: so the old generation alone is that heap,
 * even when the finalizer runs late. (V8 creates some kinds of objects old; they raise a late reading, as garbage
 * does.)
 */
function oldGenerationBytes(): number {
  const old = getHeapSpaceStatistics().filter((space) => !space.space_name.startsWith('new_'))
  return old.reduce((sum, space) => sum + space.space_used_size, 0)
}
