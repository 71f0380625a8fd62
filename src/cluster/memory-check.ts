import { startLoop } from '../base/time'
import { whyNoThreadPool } from '../capture/thread-limit'
import { processUsage } from '../system/usage'

export interface MemoryCheck {
  readonly limitBytes: number
  readonly intervalMs: number
  /** Number of readings in a row above the limit that count as being over it. */
  readonly confirm: number
  /** Reads the memory, bytes; `undefined` when there is no reading now, which leaves the count of readings as it is. */
  readonly readRss: () => number | undefined
  readonly onReading: (rssBytes: number, isOver: boolean) => void
}

/** Reads, in a worker, its own memory at an interval. Does not keep the process alive. */
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
  /** Returns the processes to read now. */
  readonly pids: () => ReadonlyMap<Key, number>
  readonly onReadings: (rssBytes: ReadonlyMap<Key, number>) => void
  /** Called once when readings begin to fail, and not again until one has succeeded. */
  readonly onFailure: (error: unknown) => void
}

/**
 * Reads, in the primary, the memory of all workers in one call per interval, because a worker that hangs does not
 * report its own.
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

/** Used where pidusage would end the process: it would be the first to start libuv's pool, which cannot start. */
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
