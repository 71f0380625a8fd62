import { startLoop } from '../base/time'
import { whyNoThreadPool } from '../capture/thread-limit'
import { processUsage } from '../system/usage'

export interface MemoryCheck {
  readonly limitBytes: number
  readonly intervalMs: number
  /** Number of readings above the limit in a row after which the worker counts as over the limit. */
  readonly confirm: number
  /** Returns the resident set size, bytes; `undefined` when it cannot be read now: the reading is then skipped. */
  readonly readRss: () => number | undefined
  readonly onReading: (rssBytes: number, isOver: boolean) => void
}

/** Reads the memory of this worker at an interval, without keeping the process alive. Returns a function that stops this. */
export function startMemoryCheck(check: MemoryCheck): () => void {
  let breaches = 0
  const stop = startLoop(check.intervalMs, () => {
    const rssBytes = check.readRss()
    if (rssBytes !== undefined) {
      breaches = rssBytes > check.limitBytes ? breaches + 1 : 0
      check.onReading(rssBytes, breaches >= check.confirm)
    }
    return Promise.resolve()
  })
  return () => void stop()
}

export interface ResidentSetWatch<Key> {
  readonly intervalMs: number
  /** Returns the process ids of the workers to read now. */
  readonly pids: () => ReadonlyMap<Key, number>
  readonly onReadings: (rssBytes: ReadonlyMap<Key, number>) => void
  /** Called at the first reading that fails, and not again until a reading has succeeded. */
  readonly onFailure: (error: unknown) => void
}

/**
 * Reads the memory of all workers, in one call per interval. The primary does this because a worker that hangs does not
 * report its own memory.
 *
 * @returns A function that stops the readings.
 */
export function watchResidentSets<Key>(watch: ResidentSetWatch<Key>): () => void {
  let isFailing = false
  const stop = startLoop(watch.intervalMs, async () => {
    const pids = watch.pids()
    try {
      const usage =
        pids.size === 0
          ? new Map<number, never>()
          : await processUsage(
              [...pids.values()],
              whyNoThreadPool() === undefined ? undefined : withoutPidusage,
            )
      watch.onReadings(rssByKey(pids, usage))
      isFailing = false
    } catch (error) {
      if (!isFailing) watch.onFailure(error)
      isFailing = true
    }
  })
  return () => void stop()
}

/** Replaces the package pidusage while libuv's thread pool cannot start: pidusage would use the pool, and libuv would abort. */
const withoutPidusage = (): Promise<Map<number, never>> => Promise.resolve(new Map<number, never>())

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
