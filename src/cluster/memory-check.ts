import { startLoop } from '../base/loop'

export interface MemoryCheck {
  readonly limitBytes: number
  readonly intervalMs: number
  /** Readings in a row above the limit that count as being over it. */
  readonly confirm: number
  /** `undefined` when there is no reading now: it neither counts nor breaks the row. */
  readonly readRss: () => number | undefined
  readonly onReading: (rssBytes: number, isOver: boolean) => void
}

/** Reads a worker's memory, now and then at an interval. Never keeps the process alive. */
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

/** @returns `undefined` when it cannot be read: Node opens a file for it, and the process may have no descriptor left. */
export function readOwnRss(): number | undefined {
  try {
    return process.memoryUsage.rss()
  } catch {
    return undefined
  }
}
