import * as nodeTimers from 'node:timers'
import { Promise } from './globals'

/**
 * Node's timers as they were when this module was loaded. Applications and their tests replace the global ones. With a fake
 * clock a watch would watch nothing, a dump would never end, and missing beats would look like a blocked loop.
 */
export const { setTimeout, clearTimeout, setInterval, clearInterval, setImmediate } = nodeTimers

/** The longest delay that a timer of Node can hold, ms; longer ones fire at once. */
export const MAX_TIMER_MS = 2_147_483_647

/** Resolves after that time, or as soon as the signal is aborted. Keeps no process alive. */
export function pause(delayMs: number, early?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer)
      early?.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, delayMs).unref()
    if (early?.aborted) end()
    else early?.addEventListener('abort', end)
  })
}

/** The clocks, as parts that depend on time take them. Both in ms. */
export interface Clock {
  /** Only moves forward. */
  readonly monotonicMs: () => number
  /** Wall clock, since 1970. */
  readonly epochMs: () => number
  /** Calls back once, after `delayMs`, without keeping the process alive. */
  readonly later: (delayMs: number, callback: () => void) => void
}

/** Node's own, as they were when this module was loaded: applications and their tests replace them, like the timers. */
const readMonotonicNs = process.hrtime.bigint.bind(process.hrtime)
const readEpochMs = Date.now.bind(Date)

/** Only moves forward, ms. The same in all threads of the process, unlike `performance.now()`. */
export function monotonicMs(): number {
  return Number(readMonotonicNs()) / 1e6
}

/** Wall clock, ms since 1970. */
export function epochMs(): number {
  return readEpochMs()
}

/** The clocks of this process. */
export const systemClock: Clock = {
  monotonicMs,
  epochMs,
  later: (delayMs, callback) => {
    setTimeout(callback, delayMs).unref()
  },
}

/** Rounds a measured time to a tenth of a millisecond; further digits are noise. */
export function tenths(ms: number): number {
  return Math.round(ms * 10) / 10
}

/**
 * Does the same work again and again, never twice at once.
 *
 * The timer is one-shot and re-armed after the work, so a slow round delays the next instead of overlapping it, and
 * unref'd, so it keeps no process alive.
 *
 * @param intervalMs - From the end of one round to the beginning of the next.
 * @param round - Must not reject.
 * @returns Stops the loop; resolves when a round that is under way has ended.
 */
export function startLoop(intervalMs: number, round: () => Promise<void>): () => Promise<void> {
  let isStopped = false
  let timer: NodeJS.Timeout | undefined
  let current: Promise<void> = Promise.resolve()
  const arm = () => {
    if (isStopped) return
    timer = setTimeout(() => {
      current = round().then(arm)
    }, intervalMs)
    timer.unref()
  }
  current = round().then(arm)
  return async () => {
    isStopped = true
    clearTimeout(timer)
    await current
  }
}
