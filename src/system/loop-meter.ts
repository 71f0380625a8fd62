import { createRequire } from 'node:module'
import type * as perfHooks from 'node:perf_hooks'
import { monotonicMs } from '../base/time'

/** Measurements of the calling thread's event loop. */
export interface LoopReport {
  /** Time of the report, monotonic clock, ms. */
  readonly atMs: number
  /** 99th percentile of the loop's delays since the previous report, ms; 0 if none was measured, as in the first report. */
  readonly delayMs: number
  /** Time for which the loop has waited for events since it started, ms. */
  readonly idleMs: number
  /** Time for which the loop has run code since it started, ms. */
  readonly activeMs: number
}

/** Interval of the timer by which Node measures the event loop's delay, ms. The timer uses about 0.02 % of a core. */
const RESOLUTION_MS = 20

/** Measures the delay of the calling thread's event loop. The first call of `report` starts the measurement. */
export class LoopMeter {
  #histogram: perfHooks.IntervalHistogram | undefined

  report(): LoopReport {
    const { idle, active } = loadPerfHooks().performance.eventLoopUtilization()
    const histogram = (this.#histogram ??= startHistogram())
    // The histogram holds the times between two calls of the timer. Each includes the timer's interval, which is no delay.
    const delayMs = histogram.count === 0 ? 0 : Math.max(0, histogram.percentile(99) / 1e6 - RESOLUTION_MS)
    histogram.reset()
    return { atMs: monotonicMs(), delayMs, idleMs: idle, activeMs: active }
  }

  stop(): void {
    this.#histogram?.disable()
    this.#histogram = undefined
  }
}

function startHistogram(): perfHooks.IntervalHistogram {
  const histogram = loadPerfHooks().monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  histogram.enable()
  return histogram
}

let loaded: typeof perfHooks | undefined

/** Loads the module when first needed: loading takes 1 ms, and most processes watch no metric of the event loop. */
function loadPerfHooks(): typeof perfHooks {
  return (loaded ??= createRequire(__filename)('node:perf_hooks') as typeof perfHooks)
}
