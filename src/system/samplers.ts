import { monotonicMs } from '../base/clock'
import type { CpuTime } from './usage'

/** Reads one number about the own process. A sampler owns its baseline, never a timer: the caller decides when to read. */
export interface Sampler {
  /**
   * Takes one reading.
   *
   * @returns The reading in the sampler's unit, or `undefined` while there is no baseline to compare with.
   * @throws When the operating system gives no answer. The next call has no baseline.
   */
  sample(): number | undefined | Promise<number | undefined>
}

/** Samples the resident set size of the own process, bytes. Every sample has a value, the first too. */
export function memorySampler(): Sampler {
  return { sample: () => process.memoryUsage.rss() }
}

/** CPU time that a process had used at some moment. */
export interface CpuMark {
  /** Monotonic clock, ms. */
  readonly nowMs: number
  /** CPU time since the process started, ms. */
  readonly cpuMs: number
}

/** CPU time in `/proc` grows in steps of 10 ms: over a shorter time, a percentage is noise. */
export const SHORTEST_SPAN_MS = 10

/**
 * CPU use between two marks.
 *
 * @returns Percent of one core (250 is two and a half cores), or `undefined` when the marks are closer than
 * {@link SHORTEST_SPAN_MS}.
 */
export function cpuPercent(from: CpuMark, to: CpuMark): number | undefined {
  const spanMs = to.nowMs - from.nowMs
  if (!(spanMs >= SHORTEST_SPAN_MS)) return undefined
  return (Math.max(0, to.cpuMs - from.cpuMs) / spanMs) * 100
}

/**
 * Samples the CPU use of the whole own process, all threads, in percent of one core since the previous sample.
 *
 * The first sample, and the first after a failed one, is `undefined`; so is one that follows the previous within 10 ms, which
 * then leaves the baseline where it is.
 */
export function cpuSampler(cpuTime: Pick<CpuTime, 'read'>, now: () => number = monotonicMs): Sampler {
  let baseline: CpuMark | undefined
  return {
    async sample() {
      const previous = baseline
      // No baseline until the reading has succeeded: after a failure, the span would be unknown.
      baseline = undefined
      const mark: CpuMark = { cpuMs: await cpuTime.read(), nowMs: now() }
      const percent = previous && cpuPercent(previous, mark)
      baseline = previous !== undefined && percent === undefined ? previous : mark
      return percent
    },
  }
}
