import { processUsage } from '../system/usage'
import { startLoop } from '../base/loop'

export interface ResidentSetWatch<Key> {
  readonly intervalMs: number
  /** The processes to read now. */
  readonly pids: () => ReadonlyMap<Key, number>
  readonly onReadings: (rssBytes: ReadonlyMap<Key, number>) => void
  /** Called once when readings begin to fail, and not again until one has succeeded. */
  readonly onFailure: (error: unknown) => void
}

/**
 * Reads the memory of other processes, all in one call per interval: a worker that hangs does not report its own.
 *
 * @returns A function that ends it.
 */
export function watchResidentSets<Key>(watch: ResidentSetWatch<Key>): () => void {
  let isFailing = false
  const stop = startLoop(watch.intervalMs, async () => {
    const pids = watch.pids()
    try {
      const usage = pids.size === 0 ? new Map<number, never>() : await processUsage([...pids.values()])
      watch.onReadings(rssByKey(pids, usage))
      isFailing = false
    } catch (error) {
      if (!isFailing) watch.onFailure(error)
      isFailing = true
    }
  })
  return () => void stop()
}

function rssByKey<Key>(
  pids: ReadonlyMap<Key, number>,
  usage: ReadonlyMap<number, { readonly rssBytes: number }>,
): ReadonlyMap<Key, number> {
  const rssBytes = new Map<Key, number>()
  for (const [key, pid] of pids) {
    const reading = usage.get(pid)
    if (reading) rssBytes.set(key, reading.rssBytes)
  }
  return rssBytes
}
