import { processUsage } from '../sample/usage'
import { clearTimeout, setTimeout } from '../time/timers'

export interface ResidentSetWatch<Key> {
  readonly intervalMs: number
  /** Who is to be read now. */
  readonly pids: () => ReadonlyMap<Key, number>
  readonly onReadings: (rssBytes: ReadonlyMap<Key, number>) => void
  /** Told once when readings begin to fail, and not again until one has succeeded. */
  readonly onFailure: (error: unknown) => void
}

/**
 * Reads the memory of other processes, all in one call per interval: what a worker says of itself is missing when it hangs.
 *
 * @returns A function that ends it.
 */
export function watchResidentSets<Key>(watch: ResidentSetWatch<Key>): () => void {
  let isStopped = false
  let isFailing = false
  let timer = arm()

  function arm(): NodeJS.Timeout {
    return setTimeout(() => void read(), watch.intervalMs).unref()
  }

  async function read(): Promise<void> {
    const pids = watch.pids()
    try {
      const usage = pids.size === 0 ? new Map<number, never>() : await processUsage([...pids.values()])
      if (isStopped) return
      isFailing = false
      watch.onReadings(rssByKey(pids, usage))
    } catch (error) {
      if (!isFailing) watch.onFailure(error)
      isFailing = true
    }
    if (!isStopped) timer = arm()
  }

  return () => {
    isStopped = true
    clearTimeout(timer)
  }
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
