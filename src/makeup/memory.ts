import type { HeapFigures } from '../base/thread-figures'
import type { MemoryUse, WorkerHeap } from './makeup'

/**
 * Divides the resident set of the process among the main thread, each worker, and the rest.
 *
 * @param figures - The main thread's latest report of its memory. `undefined` before its first: its memory is then in the rest.
 * @param restAtStart - `rest` at the start of monitoring; `undefined` while it is not known.
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
  // V8 also counts pages of the heap that it has not touched yet. Such pages are not in the resident set.
  const untouched = Math.max(0, heapTotal + external + ofWorkers - rss)
  const resident = Math.max(heapUsed, heapTotal - untouched)
  const ofMain = { heapUsed, heapTotal: resident, heapLimit, external, arrayBuffers }
  const rest = Math.max(0, rss - (resident + external + ofWorkers))
  const atStart = restAtStart === undefined ? {} : { restAtStart }
  return { rss, ...ofMain, ageMs: Math.round(nowMs - atMs), workers, rest, ...atStart }
}
