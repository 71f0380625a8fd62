import { clearTimeout, setTimeout } from '../time/timers'
export interface MemoryCheck {
  readonly limitBytes: number
  readonly intervalMs: number
  /** Readings in a row above the limit that count as being over it. */
  readonly confirm: number
  readonly readRss: () => number
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
    breaches = rssBytes > limitBytes ? breaches + 1 : 0
    onReading(rssBytes, breaches >= confirm)
    timer = arm()
  }

  return () => clearTimeout(timer)
}
