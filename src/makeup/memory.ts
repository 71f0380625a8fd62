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
  const ofWorkers = workers.reduce((sum, { heapTotal }) => sum + heapTotal, 0)
  if (figures === undefined) return { rss, workers, rest: Math.max(0, rss - ofWorkers) }
  const { atMs, heapUsed, heapTotal, heapLimit, external, arrayBuffers } = figures
  const ofMain = { heapUsed, heapTotal, heapLimit, external, arrayBuffers }
  const known = ofMain.heapTotal + ofMain.external + ofWorkers
  const rest = Math.max(0, rss - known)
  const atStart = restAtStart === undefined ? {} : { restAtStart }
  return { rss, ...ofMain, ageMs: Math.round(nowMs - atMs), workers, rest, ...atStart }
}
