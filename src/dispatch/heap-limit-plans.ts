import { messageOf } from '../base/globals'
import { epochMs, monotonicMs, pause } from '../base/time'
import { type HeapLimitPlan, loadForkHelper } from '../capture/heap/fork/helper'
import type { HeapLimitToWatch } from '../capture/heap/limit/allowance'
import { countRecentDumps, readHeapLimitDumps, readKeptDumps } from '../capture/heap/limit/earlier-dumps'
import { endsItsChildrenHere } from '../capture/heap/limit/ends-children'
import type { HeapLimitJobFacts } from '../capture/heap/limit/job'
import type { RoomProbe } from '../capture/room-probe'
import { type Disk, nearestExisting } from '../files/directory'
import { deleteExpired } from '../files/retention'
import type { Budget } from './budget'
import { ReadingLog, sidecarReadings } from './dispatcher'
import type { Picture, Report } from './events'
import { type FoundDump, foundDump } from './found-dump'
import { planAtHeapLimit } from './heap-limit-plan'

/** Interval at which the dump directory is read, ms, to count recent dumps and find those of other processes. */
const LOOK_EVERY_MS = 60_000
/** Interval at which the dump directory is read while a forked child is writing a dump at the heap limit, ms. */
const LOOK_AGAIN_MS = 5000
/** Time after which a plan is renewed even if RSS has hardly changed, ms. */
const PLAN_LASTS_MS = 10_000
/** Share of RSS, 0 to 1. If RSS has changed by at least this share since the last plan, the plan is renewed at once. */
const CALM_CHANGE = 0.01

export interface HeapLimitPlansParts {
  readonly heapLimit: HeapLimitToWatch
  readonly directory: string
  /** Returns the current budget, which `update()` can change. */
  readonly budget: () => Budget
  readonly keep: number | false
  /** Whether dumps are uploaded from the directory. If so, the deletion of a dump that was not uploaded is reported. */
  readonly isSent?: boolean | undefined
  /** Whether snapshots are written without the contents of strings (option `memory.redact`). */
  readonly redact?: boolean | undefined
  readonly where: HeapLimitJobFacts['where']
  readonly probe: Pick<RoomProbe, 'memory' | 'isKilledAsOne' | 'disk'>
  readonly report: Pick<Report, 'failure' | 'notice'>
  /** Called for each complete dump that was not reported yet, whenever the directory is read. */
  readonly onFound: (found: FoundDump) => void
  /** Describes the process as it is now. @default no description */
  readonly picture?: () => Picture
  /** The native fork helper. @default the result of `loadForkHelper()` */
  readonly fork?: ReturnType<typeof loadForkHelper>
  /** RSS of the process, bytes. @default as Node reads it */
  readonly rssBytes?: () => number
}

/**
 * Creates the function that keeps the plan for V8's heap limit (whether and how to dump there) up to date, and finds dumps that
 * earlier processes left in the directory. While RSS hardly changes, the plan is renewed every 10 s only.
 *
 * @returns A function to call with each memory reading. It never rejects.
 */
export function createHeapLimitPlans(parts: HeapLimitPlansParts): () => Promise<void> {
  const { heapLimit, directory, where, keep, isSent, report } = parts
  const readings = new ReadingLog()
  // Here the newest dump is kept even with `keep: 0`: it has just been reported, and nobody has read it yet. The next dump of
  // another kind in the directory may delete it.
  const keepNewest = keep === false ? false : Math.max(1, keep)
  const holdsToEnd = endsItsChildrenHere()
  const { fork: loaded = loadForkHelper(), rssBytes: readRssBytes = () => process.memoryUsage.rss() } = parts
  const bornAtMs = epochMs() - process.uptime() * 1000
  let recentDumps = 0
  let lookAtMs = 0
  let planned: { readonly rssBytes: number; readonly untilMs: number } | undefined
  let isFailing = false
  let isIncomplete = false
  /** Paths of complete dumps kept as `.partial`, because all their names were taken or refused. Each is reported only once. */
  const kept = new Set<string>()

  const lookAround = async (): Promise<void> => {
    const nowMs = epochMs()
    const { intervalMs } = parts.budget()
    const dumps = await readHeapLimitDumps(directory, where.host, nowMs, intervalMs, reportIncomplete)
    const counted = countRecentDumps(dumps, nowMs, intervalMs)
    if (counted !== recentDumps) planned = undefined
    recentDumps = counted
    lookAtMs = monotonicMs() + (dumps.some((dump) => dump.isBeingWritten) ? LOOK_AGAIN_MS : LOOK_EVERY_MS)
    for (const file of await readKeptDumps(directory)) reportKept(file)
    const whole = dumps.filter((dump) => !dump.isBeingWritten && dump.unreported.length > 0)
    for (const dump of whole)
      parts.onFound(foundDump(dump, dump.pid !== where.pid || dump.startedAtMs < bornAtMs))
    if (whole.length === 0) return
    const expiry = { keep: keepNewest, only: 'heap-limit-memory', isSent } as const
    const { losses = [] } = await deleteExpired(directory, where.host, expiry)
    for (const message of losses) report.failure({ stage: 'retention', kind: 'memory', message })
  }

  const reportIncomplete = (why: string): void => {
    if (!isIncomplete)
      report.notice(
        `some dumps at V8's heap limit in ${directory} may not be counted in the limiter, nor be reported: ${why}`,
      )
    isIncomplete = true
  }

  const reportKept = (file: string): void => {
    if (kept.has(file)) return
    kept.add(file)
    const message =
      `the dump at V8's heap limit ${file} is complete, but all its final names were taken or refused: ` +
      'this line is written at each start until the file is moved or deleted'
    report.failure({ stage: 'heap limit', kind: 'memory', message })
  }

  const round = async (): Promise<void> => {
    // The timer behind `pause` is unref'd: a process that is about to end does so before the work below.
    await pause(0)
    try {
      const rssBytes = readRssBytes()
      readings.add({ atEpochMs: epochMs(), value: rssBytes })
      if (monotonicMs() >= lookAtMs) await lookAround()
      if (heapLimit.arming === undefined || !('helper' in loaded)) return
      // A heap that grows towards its limit raises RSS. While RSS stays the same, cgroup, threads and disk are not read.
      if (planned && isCalm(planned.rssBytes, rssBytes) && monotonicMs() < planned.untilMs) return
      const plan = await planFor(parts, holdsToEnd, rssBytes, recentDumps, readings)
      const ended = loaded.helper.prepareHeapLimit?.({ ...plan, arming: heapLimit.arming })
      // A child was forked at the heap limit and has ended, and this process lived on. The next call reads the directory, and
      // reports the dump if the child has made one.
      if (ended !== undefined) lookAtMs = 0
      planned = { rssBytes, untilMs: monotonicMs() + PLAN_LASTS_MS }
      isFailing = false
    } catch (error) {
      if (!isFailing)
        report.failure({ stage: 'heap limit', kind: 'memory', message: messageOf(error), error })
      isFailing = true
    }
  }
  return round
}

function isCalm(thenBytes: number, nowBytes: number): boolean {
  return Math.abs(nowBytes - thenBytes) < thenBytes * CALM_CHANGE
}

async function planFor(
  parts: HeapLimitPlansParts,
  holdsToEnd: boolean,
  rssBytes: number,
  recentDumps: number,
  readings: ReadingLog,
): Promise<Omit<HeapLimitPlan, 'arming'>> {
  const { probe } = parts
  const disk = await diskOf(probe, parts.directory)
  return planAtHeapLimit(
    { ...parts, budget: parts.budget(), holdsToEnd },
    {
      ...{ rssBytes, recentDumps, disk, readings: sidecarReadings(readings) },
      isKilledAsOne: probe.isKilledAsOne(),
      room: probe.memory(),
      ...parts.picture?.(),
    },
  )
}

/** Reads the free disk space for the dump directory. A directory that does not exist yet has that of its nearest parent. */
async function diskOf(
  probe: Pick<RoomProbe, 'disk'>,
  directory: string,
): Promise<Disk | { readonly error: string }> {
  try {
    return await probe.disk(directory).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
      return probe.disk(nearestExisting(directory))
    })
  } catch (error) {
    return { error: messageOf(error) }
  }
}
