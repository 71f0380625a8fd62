import * as nodeTimers from 'node:timers'
import { Promise } from './globals'

/**
 * Node's timers, saved when this module is loaded, before applications and their tests replace the global ones. With
 * fake timers no reading would be taken, a dump would never end, and the main thread would look blocked.
 */
export const { setTimeout, clearTimeout, setInterval, clearInterval, setImmediate } = nodeTimers

/** Longest delay of a Node timer, ms; a timer with a longer delay fires after 1 ms. */
export const MAX_TIMER_MS = 2_147_483_647

/** Delay before code is loaded that only long-lived processes need, ms. Most processes of a build end before that. */
export const AFTER_START_MS = 1000

/** Resolves after `delayMs`, or as soon as the signal `early` is aborted. Does not keep the process alive. */
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

/** Clocks and a timer, passed as a parameter to code that depends on time, so that tests can pass others. */
export interface Clock {
  /** Monotonic clock, ms; it is never set back. */
  readonly monotonicMs: () => number
  /** Wall clock, ms since 1970. */
  readonly epochMs: () => number
  /** Calls back once, after `delayMs`, without keeping the process alive. */
  readonly later: (delayMs: number, callback: () => void) => void
}

/** Node's clocks, saved when this module is loaded, before applications and their tests replace them. */
const readMonotonicNs = process.hrtime.bigint.bind(process.hrtime)
const readEpochMs = Date.now.bind(Date)

/** Time of the monotonic clock, ms. It is the same in all threads; `performance.now()` counts from the start of each thread. */
export function monotonicMs(): number {
  return Number(readMonotonicNs()) / 1e6
}

/** Wall clock, ms since 1970. */
export function epochMs(): number {
  return readEpochMs()
}

/** The real clocks and the real timer, for every use except in tests. */
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
 * Calls an asynchronous function at once, and then again and again until the loop is stopped. A one-shot timer is started when a
 * call has ended, so a slow call delays the next one and does not overlap it. The timer does not keep the process alive.
 *
 * @param intervalMs - Time from the end of one call to the start of the next, ms.
 * @param round - The function to call. Must not reject.
 * @returns A function that stops the loop; its promise resolves when a call that is under way has ended.
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
