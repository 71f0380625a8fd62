import { setTimeout } from './timers'

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
