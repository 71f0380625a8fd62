import { LeakConfirmation } from '../../../../src/leak/confirmation'
import { type GcReading, LEAK_RULE_ALONE, LeakTrend } from '../../../../src/leak/trend'
import { SampledHeap } from './allocations'
import { HOUR_MS, MB } from './heap'
import { seeded } from './random'
import type { Run } from './series'

/** A rule that takes readings one by one and answers `true` when it would raise an alarm. */
export interface Rule {
  readonly name: string
  readonly start: (run: Run) => (reading: GcReading) => boolean
}

export const OURS: Rule = {
  name: 'this library',
  start({ parts, seed }) {
    const trend = new LeakTrend(0)
    const heap = new SampledHeap(parts, seeded(seed))
    let latest: GcReading
    const confirmation = new LeakConfirmation(() => heap.read(latest.atMs / HOUR_MS, latest.usedBytes))
    return (reading) => {
      latest = reading
      const isReported = confirmation.take(reading, trend.read(reading)) !== undefined
      if (isReported) trend.noteReport()
      return isReported
    }
  },
}

/** Programs were recorded without their allocations, and some applications do not sample them. */
export const TREND_ALONE: Rule = {
  name: 'this library, memory.sampling: false',
  start() {
    const trend = new LeakTrend(0, LEAK_RULE_ALONE)
    return (reading) => {
      const isReported = trend.read(reading)?.isLeak === true
      if (isReported) trend.noteReport()
      return isReported
    }
  },
}

/** The `leak` event of memwatch: five collections in a row, each of which left more than the one before. */
const MEMWATCH: Rule = {
  name: 'five growing GCs (memwatch)',
  start() {
    let lastBytes = Infinity
    let rises = 0
    return ({ usedBytes }) => {
      rises = usedBytes > lastBytes ? rises + 1 : 0
      lastBytes = usedBytes
      if (rises < 5) return false
      rises = 0
      return true
    }
  },
}

/** Readings of the last hour. */
function lastHour(): (reading: GcReading) => GcReading[] {
  let kept: GcReading[] = []
  return (reading) => {
    kept = [...kept.filter(({ atMs }) => atMs > reading.atMs - HOUR_MS), reading]
    return kept
  }
}

/** At most one alarm an hour, as an operator would have it. */
function hourly(judge: (reading: GcReading) => boolean): (reading: GcReading) => boolean {
  let quietUntilMs = 0
  return (reading) => {
    if (!judge(reading) || reading.atMs < quietUntilMs) return false
    quietUntilMs = reading.atMs + HOUR_MS
    return true
  }
}

/** A straight line through the last hour that explains most of it and rises by a tenth and by 10 MB. */
const REGRESSION: Rule = {
  name: 'regression over an hour',
  start() {
    const window = lastHour()
    return hourly((reading) => {
      const kept = window(reading)
      if (kept.length < 6) return false
      const meanAt = mean(kept.map(({ atMs }) => atMs))
      const meanUsed = mean(kept.map(({ usedBytes }) => usedBytes))
      const sums = { at: 0, used: 0, both: 0 }
      for (const { atMs, usedBytes } of kept) {
        sums.at += (atMs - meanAt) ** 2
        sums.used += (usedBytes - meanUsed) ** 2
        sums.both += (atMs - meanAt) * (usedBytes - meanUsed)
      }
      const perHour = (sums.both / sums.at) * HOUR_MS
      const explained = sums.both ** 2 / (sums.at * sums.used)
      return perHour > Math.max(10 * MB, 0.1 * meanUsed) && explained > 0.6
    })
  },
}

/** Mann and Kendall's test on the last 30 collections: of all pairs, clearly more rise than fall; and by a tenth and 10 MB. */
const MANN_KENDALL: Rule = {
  name: 'Mann-Kendall, 30 GCs, p < 0.01',
  start() {
    const kept: number[] = []
    return hourly(({ usedBytes }) => {
      kept.push(usedBytes)
      if (kept.length > 30) kept.shift()
      if (kept.length < 30) return false
      const gained = mean(kept.slice(20)) - mean(kept.slice(0, 10))
      if (gained < Math.max(10 * MB, 0.1 * mean(kept))) return false
      let rising = 0
      kept.forEach((later, at) => {
        for (const earlier of kept.slice(0, at)) rising += Math.sign(later - earlier)
      })
      const deviation = Math.sqrt((30 * 29 * 65) / 18)
      return (rising - 1) / deviation > 2.33
    })
  },
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

export const RULES: readonly Rule[] = [OURS, TREND_ALONE, MEMWATCH, REGRESSION, MANN_KENDALL]
