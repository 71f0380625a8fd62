import type { CpuGrowthPart, FunctionGrowth, Place, Verdict } from '../model'
import { describePlace, groupOf } from '../place'
import type { Locator } from '../source-maps'
import { NO_SOURCE_MAPS } from '../source-maps'
import { formatCount, formatFigure, formatPercent } from '../units'
import { numbering, percent } from './call-tree'
import type { CpuCalls } from './cpu-profile'
import { isIdle, LEAST_SAMPLES, MOSTLY_IDLE_PERCENT, readCpuCalls } from './cpu-profile'

/** A function stands out if its share of the busy time grew by at least this much, percentage points. */
export const GROWTH_STANDS_OUT_PERCENT = 5
/** A function also stands out if its CPU time per second grew by at least this much, ms. */
const GROWTH_STANDS_OUT_MS = 50
const ROWS = 40

/** A CPU profile to be compared. */
export interface ProfileToCompare {
  readonly profile: unknown
  readonly file: string
}

/**
 * Compares two CPU profiles by function. Compares each function's own share of the busy time, which does not depend on the load,
 * and its own CPU time per second.
 *
 * @throws UnreadableError for anything that is no CPU profile.
 */
export function compareCpuProfiles(
  before: ProfileToCompare,
  after: ProfileToCompare,
  locator = NO_SOURCE_MAPS,
): CpuGrowthPart {
  const numberOf = numbering()
  const [old, now] = [measured(before, locator, numberOf), measured(after, locator, numberOf)]
  const functions = [...new Set([...old.functions.keys(), ...now.functions.keys()])]
    .flatMap((key): Growth[] => {
      const [then, here] = [old.functions.get(key), now.functions.get(key)]
      const place = (here ?? then)?.place
      if (place === undefined) return []
      const [beforePercent, nowPercent] = [then?.share ?? 0, here?.share ?? 0]
      const growthPercent = nowPercent - beforePercent
      const shares = { beforePercent, percent: nowPercent, growthPercent }
      return [{ place, ...shares, beforeMs: then?.ms ?? 0, ms: here?.ms ?? 0 }]
    })
    .sort((one, other) => other.growthPercent - one.growthPercent || growthMs(other) - growthMs(one))
  return {
    kind: 'cpu-growth',
    before: before.file,
    file: after.file,
    verdict: judge(functions, old, now),
    beforeBusyPercent: old.busyPercent,
    busyPercent: now.busyPercent,
    grown: functions
      .filter((one) => (one.growthPercent || growthMs(one)) > 0)
      .slice(0, ROWS)
      .map(grouped),
    shrunk: functions
      .filter((one) => (one.growthPercent || growthMs(one)) < 0)
      .reverse()
      .slice(0, ROWS)
      .map(grouped),
    notes: [
      'Percentages are shares of the busy time of each profile. Milliseconds are CPU time per second of each profile. Functions with a name are matched by name and file, even if their line differs.',
    ],
  }
}

interface Measured {
  readonly file: string
  readonly samples: number
  readonly busyPercent: number
  /**
   * Functions with their own share of the busy time, percent, and their own CPU time per second, ms. The key has name and file, and
   * the line of a function without a name.
   */
  readonly functions: ReadonlyMap<
    string,
    { readonly place: Place; readonly share: number; readonly ms: number }
  >
}

function measured(
  { profile, file }: ProfileToCompare,
  locator: Locator,
  numberOf: (text: string) => number,
): Measured {
  const { calls, samples }: CpuCalls = readCpuCalls(profile, locator)
  const busy = calls.filter(({ place }) => !isIdle(place))
  const all = calls.reduce((sum, { self }) => sum + self, 0)
  const allBusy = busy.reduce((sum, { self }) => sum + self, 0)
  const functions = new Map<string, { place: Place; share: number; ms: number }>()
  for (const { place, self } of busy) {
    if (self === 0) continue
    // The line of a named function is not part of its key, because an edit of the file moves functions to other lines.
    const key = `${numberOf(place.name)}:${numberOf(place.file)}:${place.name === '(anonymous)' ? place.line : ''}`
    const known = functions.get(key)
    functions.set(key, {
      place: known?.place ?? place,
      share: (known?.share ?? 0) + percent(self, allBusy),
      ms: (known?.ms ?? 0) + percent(self, all) * 10,
    })
  }
  return { file, samples, busyPercent: percent(allBusy, all), functions }
}

/** The growth of a function, before its group is known: that is found for the rows that are shown alone. */
type Growth = Omit<FunctionGrowth, 'group'>

function grouped(growth: Growth): FunctionGrowth {
  return { ...growth, group: groupOf(growth.place) }
}

function growthMs({ beforeMs, ms }: Growth): number {
  return ms - beforeMs
}

function judge(functions: readonly Growth[], old: Measured, now: Measured): Verdict {
  const few = [old, now].find(({ samples }) => samples < LEAST_SAMPLES)
  if (few !== undefined) {
    const sentence = `${few.file} has ${formatCount(few.samples, 'sample')}, too few to compare.`
    return {
      found: false,
      sentence,
      hint: 'Take a longer profile: dumpCpu(10000), or the option cpu.duration.',
    }
  }
  const busy = `The thread was busy for ${formatPercent(old.busyPercent)} of the time before, ${formatPercent(now.busyPercent)} now.`
  if (isMostlyIdle(now)) {
    return {
      found: false,
      sentence: `No function stands out: the thread of the later profile was idle for ${formatPercent(100 - now.busyPercent)} of the time.`,
      hint: busy,
    }
  }
  const grown = functions.filter((one) => growthMs(one) > 0)
  const byShare = isMostlyIdle(old)
    ? undefined
    : grown.find(({ growthPercent }) => growthPercent >= GROWTH_STANDS_OUT_PERCENT)
  if (byShare !== undefined) {
    const { beforePercent, percent: nowPercent } = byShare
    const shares = `from ${formatPercent(beforePercent)} to ${formatPercent(nowPercent)} of the busy CPU time`
    return { ...found(byShare, `${shares}, ${timesOf(byShare)}`), hint: busy }
  }
  const [byTime] = [...grown].sort((one, other) => growthMs(other) - growthMs(one))
  if (byTime !== undefined && growthMs(byTime) >= GROWTH_STANDS_OUT_MS) {
    const more = isMostlyIdle(old)
      ? ''
      : ` The function is named for its CPU time: its share of the busy time grew by less than ${GROWTH_STANDS_OUT_PERCENT} percentage points, so there may be more load.`
    return { ...found(byTime, timesOf(byTime)), hint: busy + more }
  }
  const share = isMostlyIdle(old)
    ? ''
    : `${GROWTH_STANDS_OUT_PERCENT} percentage points of the busy CPU time, or by `
  return {
    found: false,
    sentence: `No single function stands out: none grew by ${share}${GROWTH_STANDS_OUT_MS} ms of CPU time per second.`,
    hint: `${busy} Compare the functions below.`,
  }
}

/** Whether the thread was idle for so much of the profile that shares of its few busy samples mean nothing. */
function isMostlyIdle({ busyPercent }: Measured): boolean {
  return 100 - busyPercent >= MOSTLY_IDLE_PERCENT
}

function found({ place, percent: sharePercent }: Growth, growth: string): Verdict {
  return { found: true, sentence: `${describePlace(place)} grew ${growth}.`, place, sharePercent }
}

function timesOf({ beforeMs, ms }: Growth): string {
  return `from ${formatFigure('ms', beforeMs)} to ${formatFigure('ms', ms)} of CPU time per second`
}
