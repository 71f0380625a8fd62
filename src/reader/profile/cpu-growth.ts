import type { CpuGrowthPart, Place, Verdict } from '../model'
import { describePlace, groupOf } from '../place'
import { NO_SOURCE_MAPS } from '../source-maps'
import { formatPercent } from '../units'
import { percent } from './call-tree'
import type { CpuCalls } from './cpu-profile'
import { isIdle, readCpuCalls } from './cpu-profile'

/** From this growth of its share of the busy time, a function stands out, percent. */
export const GROWTH_STANDS_OUT_PERCENT = 5
const ROWS = 40

/** A CPU profile to be compared. */
export interface ProfileToCompare {
  readonly profile: unknown
  readonly file: string
}

/**
 * Compares two CPU profiles by the share that each function itself has of the busy time.
 *
 * @throws UnreadableError for anything that is no CPU profile.
 */
export function compareCpuProfiles(
  before: ProfileToCompare,
  after: ProfileToCompare,
  locator = NO_SOURCE_MAPS,
): CpuGrowthPart {
  const [old, now] = [before, after].map(({ profile }) => sharesOf(readCpuCalls(profile, locator)))
  const keys = new Set([...(old?.keys() ?? []), ...(now?.keys() ?? [])])
  const functions = [...keys]
    .flatMap((key) => {
      const place = (now?.get(key) ?? old?.get(key))?.place
      if (place === undefined) return []
      const [beforePercent, nowPercent] = [old?.get(key)?.share ?? 0, now?.get(key)?.share ?? 0]
      const growthPercent = nowPercent - beforePercent
      return [{ place, group: groupOf(place), beforePercent, percent: nowPercent, growthPercent }]
    })
    .sort((one, other) => other.growthPercent - one.growthPercent)
  return {
    kind: 'cpu-growth',
    before: before.file,
    file: after.file,
    verdict: judge(functions[0]),
    grown: functions.filter(({ growthPercent }) => growthPercent > 0).slice(0, ROWS),
    shrunk: functions
      .filter(({ growthPercent }) => growthPercent < 0)
      .reverse()
      .slice(0, ROWS),
    notes: [
      'Shares are of the busy time of each profile. A function is the same in both by its name and file, on whichever line it stands.',
    ],
  }
}

/** Percent of the busy time, by function. */
function sharesOf({
  calls,
}: CpuCalls): ReadonlyMap<string, { readonly place: Place; readonly share: number }> {
  const shares = new Map<string, { place: Place; share: number }>()
  const busy = calls.filter(({ place }) => !isIdle(place))
  const all = busy.reduce((sum, { self }) => sum + self, 0)
  for (const { place, self } of busy) {
    if (self === 0) continue
    // The line tells the anonymous functions of a file apart, and is no part of a name that an edit moves.
    const key = `${place.name}\n${place.file}\n${place.name === '(anonymous)' ? place.line : ''}`
    const known = shares.get(key)
    shares.set(key, { place: known?.place ?? place, share: (known?.share ?? 0) + percent(self, all) })
  }
  return shares
}

function judge(top: CpuGrowthPart['grown'][number] | undefined): Verdict {
  if (top === undefined || top.growthPercent < GROWTH_STANDS_OUT_PERCENT) {
    return {
      found: false,
      sentence: `No single function stands out: none grew by ${GROWTH_STANDS_OUT_PERCENT} % of the busy CPU time.`,
      hint: 'Compare the functions below, or the idle time of the two profiles.',
    }
  }
  const { place, beforePercent, percent: nowPercent } = top
  return {
    found: true,
    sentence: `${describePlace(place)} grew from ${formatPercent(beforePercent)} to ${formatPercent(nowPercent)} of the busy CPU time.`,
    place,
    sharePercent: nowPercent,
  }
}
