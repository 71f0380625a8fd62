import { type IntervalHistogram, monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { monotonicMs } from '../base/time'

/** State of the calling thread's event loop. */
export interface LoopReport {
  /** Monotonic clock, ms. */
  readonly atMs: number
  /** The 99th percentile of its delay since the previous report, ms. */
  readonly delayMs: number
  /** Time that it has waited for events, and time that it has worked, ms since it began to turn. */
  readonly idleMs: number
  readonly activeMs: number
}

/** Time between two looks of Node's own timer, ms: 50 of them a second cost about 0.02 % of a core. */
const RESOLUTION_MS = 20

/** Measures the delay of the calling thread's event loop, from the first report on. */
export class LoopMeter {
  #histogram: IntervalHistogram | undefined

  report(): LoopReport {
    const { idle, active } = performance.eventLoopUtilization()
    const histogram = (this.#histogram ??= startHistogram())
    // What is recorded is the time between two looks.
    const delayMs = histogram.count === 0 ? 0 : Math.max(0, histogram.percentile(99) / 1e6 - RESOLUTION_MS)
    histogram.reset()
    return { atMs: monotonicMs(), delayMs, idleMs: idle, activeMs: active }
  }

  stop(): void {
    this.#histogram?.disable()
    this.#histogram = undefined
  }
}

function startHistogram(): IntervalHistogram {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  histogram.enable()
  return histogram
}
