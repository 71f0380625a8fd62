import { cpuPercent, type CpuMark } from './cpu-percent'
import type { Sampler } from './sampler'
import { monotonicMs } from '../time/clock'
import { chooseUsageReader, type UsageReader } from './usage-reader'

/**
 * Samples the CPU use of the whole own process, all threads, in percent of one core since the previous sample. On
 * Linux, CPU time grows in steps of 10 ms: one percent at one reading per second.
 *
 * The first sample, and the first after a failed one, is `undefined`; so is one that follows the previous within 10 ms,
 * which then leaves the baseline where it is. Each sampler has a baseline of its own.
 */
export function cpuSampler(reader: UsageReader = chooseUsageReader()): Sampler {
  let baseline: CpuMark | undefined

  function takeReading(): number | undefined {
    const previous = baseline
    // Until the reading has succeeded there is no baseline: after a failure the span would be anybody's guess.
    baseline = undefined
    const mark: CpuMark = { cpuMs: reader.own().cpuMs, nowMs: monotonicMs() }
    const percent = previous && cpuPercent(previous, mark)
    baseline = previous !== undefined && percent === undefined ? previous : mark
    return percent
  }

  return {
    sample: () => new Promise((resolve) => resolve(takeReading())),
    close() {
      baseline = undefined
      return Promise.resolve()
    },
  }
}
