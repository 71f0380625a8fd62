import type { Clock } from '../dispatch/dispatcher'
import { epochMs, monotonicMs } from '../time/clock'
import { setTimeout } from '../time/timers'

/** The process's clocks. */
export const systemClock: Clock = {
  monotonicMs,
  epochMs,
  later: (delayMs, callback) => {
    setTimeout(callback, delayMs).unref()
  },
}
