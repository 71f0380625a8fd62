import { hostname } from 'node:os'
import { join } from 'node:path'
import * as v8 from 'node:v8'
import { readRssBeside } from '../../base/rss'
import { epochMs, setTimeout } from '../../base/time'
import { DEFAULT_HOLD_MS, thresholdAboveHeapLimit } from '../../capture/heap/limit/allowance'
import type { HeapSampler } from '../../capture/heap/sampler'
import { createRoomProbe } from '../../capture/room-probe'
import { armHeapLimit } from '../../dispatch/arm-heap-limit'
import type { Budget } from '../../dispatch/budget'
import { reportFoundDump } from '../../dispatch/found-dump'
import { createHeapLimitPlans } from '../../dispatch/heap-limit-plans'
import { listWithin } from '../../files/directory'
import { readOwnNames } from '../../files/retention'
import { lines } from '../../report/lines'
import type { Logger } from '../../report/listeners'
import { readLimits } from '../../system/limits'

/** Interval at which a worker checks, and if necessary renews, its plan of what it dumps if its heap reaches V8's limit, ms. */
const PLAN_EVERY_MS = 1000
/**
 * A dump that began at most this long ago, ms, and has the pid of a worker that has just ended, counts as that worker's. An
 * older dump with the same pid may be of an earlier process.
 */
const JUST_LOST_MS = 60_000
/** Signals by which a process can end when V8 aborts it: that of abort(3), or of a machine instruction that V8 aborts with. */
const ENDED_BY_V8: readonly (string | null)[] = ['SIGABRT', 'SIGTRAP', 'SIGILL', 'SIGSEGV']
const ABORT_CODE = 134

export interface WorkerHeapLimit {
  readonly directory: string
  readonly budget: Budget
  readonly keep: number | false
  /** `true`: snapshots are written without the contents of strings; `false`: with them. */
  readonly redact: boolean
  readonly report: Logger
  /** Whether the worker writes a line to stderr when its heap reaches V8's limit. */
  readonly writesLine: boolean
  readonly sampler: HeapSampler
}

/** Makes this worker write a dump when its heap reaches V8's limit, if the budget allows one. Applies until the worker ends. */
export function dumpAtHeapLimit(settings: WorkerHeapLimit): void {
  const { directory, budget, keep, redact, report, writesLine, sampler } = settings
  const { version: node, versions, pid } = process
  const where = { node, v8: versions.v8, pid, host: hostname(), limits: { ...readLimits() } }
  const { toWatch, atLimit, loadJobLater } = armHeapLimit({
    ...{ holdMs: DEFAULT_HOLD_MS, writesLine, sampler },
    // `kill -USR2` to all processes of a cluster must not end a forked child that is writing a snapshot.
    signal: 'SIGUSR2',
    plan: { directory, budget, redact, where },
  })
  loadJobLater()
  if (toWatch.arming === undefined)
    report.info(`if the heap of the worker with pid ${process.pid} reaches V8's limit: ${atLimit.inWords}`)
  const round = createHeapLimitPlans({
    ...{ heapLimit: toWatch, directory, budget: () => budget, keep, redact, where },
    probe: createRoomProbe(),
    onFound: (found) => reportFoundDump(found, pid, { dump: (dump) => report.warn(lines.dump(dump)) }),
    report: {
      failure: (failure) => report.error(lines.failure(failure)),
      notice: (line) => report.warn(line),
    },
  })
  const arm = (): void => void setTimeout(() => void round().then(arm), PLAN_EVERY_MS).unref()
  void round().then(arm)
}

/** How a worker ended. */
export interface LostWorker {
  readonly pid: number
  readonly code: number | null
  readonly signal: string | null
}

/** Whether a worker ended as V8 ends a process whose heap reaches its limit. Other faults of native code end it so too. */
export function mayHaveReachedHeapLimit({ code, signal }: LostWorker): boolean {
  return code === ABORT_CODE || ENDED_BY_V8.includes(signal)
}

/**
 * Returns text that names the dump of a lost worker whose heap reached V8's limit, for its log line; empty without a dump.
 * Counts only files of this process's user, whose names have a time that is not in the future. The directory is read in pieces
 * and only in part if it is large, so other users who create names there can neither stop the event loop nor fill the memory.
 * Never rejects.
 */
export async function heapLimitNote({ pid }: LostWorker, directory: string): Promise<string> {
  const nowMs = epochMs()
  const own = await listWithin(directory, async (place) => (await readOwnNames(place, 'sidecar')).names)
  const dumps = own.filter((name) => {
    const isRecent = name.startedAtMs >= nowMs - JUST_LOST_MS && name.startedAtMs <= nowMs
    return name.rule === 'heap-limit' && name.pid === pid && isRecent
  })
  if (dumps.length === 0) return ''
  const files = new Set(dumps.map(({ baseName }) => join(directory, `${baseName}.*`)))
  return `: its heap reached V8's limit, see ${[...files].join(', ')}`
}

/**
 * Returns a warning when a worker's heap probably reaches V8's limit, which ends the worker, before the worker's memory
 * reaches `limitBytes`, at which the cluster would replace it; otherwise `undefined`.
 *
 * @param execArgv - Node's options with which the workers are started.
 * @param ownExecArgv - Node's options of this process.
 */
export function limitAboveHeapLimit(
  limitBytes: number,
  execArgv: readonly string[],
  ownExecArgv: readonly string[] = process.execArgv,
): string | undefined {
  const { heap_size_limit: ownLimitBytes, total_heap_size: heapBytes } = v8.getHeapStatistics()
  const given = oldSpaceMib(execArgv)
  // Workers that are given no heap limit have the primary's. V8's figure for that limit also counts the young generation,
  // so it is larger than the value of the option.
  const isAsHere = given === undefined || given === oldSpaceMib(ownExecArgv)
  const heapLimitBytes = isAsHere ? ownLimitBytes : given * 1024 * 1024
  if (limitBytes > readLimits().totalMemoryBytes) return undefined
  return thresholdAboveHeapLimit("the workers' limit", limitBytes, heapLimitBytes, readRssBeside(heapBytes))
}

/** Returns the value of `--max-old-space-size`, MiB; the last one if it is given several times, as in V8. */
function oldSpaceMib(execArgv: readonly string[]): number | undefined {
  const given = [...execArgv.join(' ').matchAll(/--max[-_]old[-_]space[-_]size=(\d+)/g)].at(-1)?.[1]
  return given === undefined ? undefined : Number(given)
}
