import { getHeapSpaceStatistics } from 'node:v8'
import type { GcReadings } from './readings'

/** Keeps the active registries alive: V8 collects a registry that nothing refers to, and its callback then never runs. */
const registries = new Set<FinalizationRegistry<undefined>>()

/**
 * Creates a source of heap readings that needs no package. A sentinel (a symbol that nothing refers to) lies in the old
 * generation, so only a full GC collects it. Its finalizer takes the reading and creates the next sentinel. Nothing
 * runs between two full GCs.
 *
 * Why not a `PerformanceObserver` for `gc`: it creates an entry for every scavenge (young-generation GC) too, and is
 * reported to cause GC after GC on Node 24 and later (https://github.com/nodejs/node/issues/62721).
 *
 * Several full GCs within one turn of the event loop give one reading, because the finalizer runs after the turn.
 *
 * @param now - Returns monotonic ms.
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
      // V8 creates symbols in the old generation, but objects in the young one, where since Node 26 a scavenge frees them.
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
 * Returns the heap in use after the last full GC, bytes. A full GC moves all survivors to the old generation, and
 * nearly everything allocated later starts in the young one. So the size of the old generation nearly equals that heap, even
 * when the finalizer runs late. (V8 creates some kinds of objects in the old generation: they make a late reading higher.)
 */
function oldGenerationBytes(): number {
  const old = getHeapSpaceStatistics().filter((space) => !space.space_name.startsWith('new_'))
  return old.reduce((sum, space) => sum + space.space_used_size, 0)
}
