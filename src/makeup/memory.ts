import type { HeapFigures } from '../base/thread-figures'
import type { MemoryUse, WorkerHeap } from './makeup'

/**
 * Divides the resident set among its owners.
 *
 * @param figures - The main thread's latest report; absent before its first one.
 * @param restAtStart - The rest when the watch began; absent while it is not known.
 */
export function memoryUse(
  rss: number,
  figures: HeapFigures | undefined,
  workers: readonly WorkerHeap[],
  nowMs: number,
  restAtStart?: number,
): MemoryUse {
  const ofWorkers = workers.reduce((sum, { heapTotal, external }) => sum + heapTotal + external, 0)
  if (figures === undefined) return { rss, workers, rest: Math.max(0, rss - ofWorkers) }
  const { atMs, heapUsed, heapTotal, heapLimit, external, arrayBuffers } = figures
  // V8 counts pages of the heap that it has not touched yet; those are not in the resident set.
  const untouched = Math.max(0, heapTotal + external + ofWorkers - rss)
  const resident = Math.max(heapUsed, heapTotal - untouched)
  const ofMain = { heapUsed, heapTotal: resident, heapLimit, external, arrayBuffers }
  const rest = Math.max(0, rss - (resident + external + ofWorkers))
  const atStart = restAtStart === undefined ? {} : { restAtStart }
  return { rss, ...ofMain, ageMs: Math.round(nowMs - atMs), workers, rest, ...atStart }
}
