import type { Clock } from '../dispatch/dispatcher'
import { setTimeout } from './timers'

/** The process's clocks. The monotonic one is the same in all threads, unlike `performance.now()`. */
export const systemClock: Clock = {
  monotonicMs: () => Number(process.hrtime.bigint()) / 1e6,
  epochMs: () => Date.now(),
  later: (delayMs, callback) => {
    setTimeout(callback, delayMs).unref()
  },
}
