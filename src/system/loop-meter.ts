import { createRequire } from 'node:module'
import type * as perfHooks from 'node:perf_hooks'
import { monotonicMs } from '../base/time'

/** State of the calling thread's event loop. */
export interface LoopReport {
  /** Time of the report, monotonic clock, ms. */
  readonly atMs: number
  /** 99th percentile of the loop's delay since the previous report, ms. */
  readonly delayMs: number
  /** Time in which the loop waited for events (idle) and in which it worked (active) since it started, ms. */
  readonly idleMs: number
  readonly activeMs: number
}

/** Interval of the timer by which Node measures the loop's delay, ms: costs about 0.02 % of a core. */
const RESOLUTION_MS = 20

/** Measures the delay of the calling thread's event loop, from the first report on. */
export class LoopMeter {
  #histogram: perfHooks.IntervalHistogram | undefined

  report(): LoopReport {
    const { idle, active } = loadPerfHooks().performance.eventLoopUtilization()
    const histogram = (this.#histogram ??= startHistogram())
    // The histogram holds the time between two timer calls, the interval included.
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

/** Late: Node needs 1 ms to load it, and most processes have no rule on the loop. */
function loadPerfHooks(): typeof perfHooks {
  return createRequire(__filename)('node:perf_hooks') as typeof perfHooks
}
