import type { Clock } from '../dispatch/dispatcher'
import { epochMs, monotonicMs } from './clock'
import { setTimeout } from './timers'

/** The process's clocks. */
export const systemClock: Clock = {
  monotonicMs,
  epochMs,
  later: (delayMs, callback) => {
    setTimeout(callback, delayMs).unref()
  },
}
