import type { Clock } from '../dispatch/dispatcher'
import { setTimeout } from './timers'

/** Node's own, as they were when this module was loaded: applications and their tests replace them, like the timers. */
const readMonotonicNs = process.hrtime.bigint.bind(process.hrtime)
const readEpochMs = Date.now.bind(Date)

/** The process's clocks. The monotonic one is the same in all threads, unlike `performance.now()`. */
export const systemClock: Clock = {
  monotonicMs: () => Number(readMonotonicNs()) / 1e6,
  epochMs: () => readEpochMs(),
  later: (delayMs, callback) => {
    setTimeout(callback, delayMs).unref()
  },
}
