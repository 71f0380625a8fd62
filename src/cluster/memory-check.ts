import { clearTimeout, setTimeout } from '../time/timers'

export interface MemoryCheck {
  readonly limitBytes: number
  readonly intervalMs: number
  /** Readings in a row above the limit that count as being over it. */
  readonly confirm: number
  /** `undefined` when there is no reading now: the next one comes after the interval, and readings in a row go on. */
  readonly readRss: () => number | undefined
  readonly onReading: (rssBytes: number, isOver: boolean) => void
}

/** Reads a worker's memory at an interval. Never keeps the process alive. */
export function startMemoryCheck({
  limitBytes,
  intervalMs,
  confirm,
  readRss,
  onReading,
}: MemoryCheck): () => void {
  let breaches = 0
  let timer = arm()

  function arm(): NodeJS.Timeout {
    return setTimeout(check, intervalMs).unref()
  }

  function check(): void {
    const rssBytes = readRss()
    if (rssBytes !== undefined) {
      breaches = rssBytes > limitBytes ? breaches + 1 : 0
      onReading(rssBytes, breaches >= confirm)
    }
    timer = arm()
  }

  return () => clearTimeout(timer)
}

/** @returns `undefined` when it cannot be read: Node opens a file for it, and the process may have no descriptor left. */
export function readOwnRss(): number | undefined {
  try {
    return process.memoryUsage.rss()
  } catch {
    return undefined
  }
}
