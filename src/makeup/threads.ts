import type { ThreadTime } from '../base/thread-figures'
import type { ThreadUse } from './makeup'
import type { Identity } from './roster'

/** CPU time of the process and of its threads at some moment. */
export interface ProcessMark {
  /** Time of the mark, monotonic clock, ms. */
  readonly atMs: number
  /** CPU time of the whole process since it started, ms. */
  readonly cpuMs: number
  /** CPU time of the main thread in garbage collections, ms; NaN where it is not known. */
  readonly gcMs: number
  readonly threads: readonly ThreadTime[]
}

/** CPU use over a span of time. */
export interface CpuSpan {
  readonly spanMs: number
  /** CPU time of the whole process, ms. */
  readonly cpuMs: number
  readonly gcMs: number
  readonly threads: ReadonlyMap<number, { readonly cpuMs: number; readonly waitMs: number }>
}

/** Number of marks (readings of CPU times) kept: five minutes at one a second, half of that at two a second. */
export const MARKS_KEPT = 300

/** Keeps the latest marks (readings of the CPU times of all threads) as numbers only: 100 threads take less than 1 MB. */
export class ThreadHistory {
  readonly #marks: Mark[] = []

  add({ atMs, cpuMs, gcMs, threads }: ProcessMark): void {
    const dropped = this.#marks.length < MARKS_KEPT ? undefined : this.#marks.shift()
    const { length } = threads
    // Reuse the arrays: V8 frees arrays this old only in a full GC, and a thread with little work had none for 40 minutes.
    const mark =
      dropped?.tids.length === length
        ? dropped
        : { figures: new Float64Array(3), tids: new Int32Array(length), times: new Float64Array(length * 2) }
    mark.figures.set([atMs, cpuMs, gcMs])
    let at = 0
    for (const { tid, cpuMs, waitMs } of threads) {
      mark.tids[at] = tid
      mark.times[at * 2] = cpuMs
      mark.times[at * 2 + 1] = waitMs
      at++
    }
    this.#marks.push(mark)
  }

  /** Whether one of the marks (readings) includes the thread with this kernel id. */
  has(tid: number): boolean {
    return this.#marks.some(({ tids }) => tids.includes(tid))
  }

  /**
   * Returns the CPU time that each thread used from the mark (reading) nearest to `sinceMs` to the latest mark. Threads
   * that have ended are included.
   *
   * @returns `undefined` when there are fewer than two marks.
   */
  since(sinceMs: number): CpuSpan | undefined {
    const last = this.#marks.at(-1)
    const first = this.#nearest(sinceMs)
    const from = this.#marks[first]
    if (!last || !from || from === last) return undefined
    const threads = new Map<number, { cpuMs: number; waitMs: number }>()
    let before = timesOf(from)
    for (const mark of this.#marks.slice(first + 1)) {
      const now = timesOf(mark)
      for (const [tid, time] of now) {
        const start = before.get(tid)
        const sum = threads.get(tid) ?? { cpuMs: 0, waitMs: 0 }
        threads.set(tid, {
          cpuMs: sum.cpuMs + growth(start?.cpuMs, time.cpuMs),
          waitMs: sum.waitMs + growth(start?.waitMs, time.waitMs),
        })
      }
      before = now
    }
    const [spanMs, cpuMs, gcMs] = [0, 1, 2].map((at) => (last.figures[at] ?? NaN) - (from.figures[at] ?? NaN))
    return { spanMs: spanMs ?? NaN, cpuMs: cpuMs ?? NaN, gcMs: gcMs ?? NaN, threads }
  }

  /** Index of the mark nearest to `sinceMs`, among all marks but the latest. */
  #nearest(sinceMs: number): number {
    let nearest = 0
    for (let at = 1; at < this.#marks.length - 1; at++) {
      if (this.#distance(at, sinceMs) <= this.#distance(nearest, sinceMs)) nearest = at
    }
    return nearest
  }

  #distance(at: number, sinceMs: number): number {
    return Math.abs((this.#marks[at]?.figures[0] ?? NaN) - sinceMs)
  }
}

interface Mark {
  /** `atMs`, `cpuMs` and `gcMs` of the process, in this order. */
  readonly figures: Float64Array
  readonly tids: Int32Array
  /** CPU time and waiting time of each thread in turn, ms. */
  readonly times: Float64Array
}

function timesOf({ tids, times }: Mark) {
  const all = new Map<number, { cpuMs: number; waitMs: number }>()
  for (const [at, tid] of tids.entries())
    all.set(tid, { cpuMs: times[at * 2] ?? 0, waitMs: times[at * 2 + 1] ?? NaN })
  return all
}

/** Growth of a thread's time between two readings, ms. A time that became smaller means a new thread with a reused id. */
function growth(start: number | undefined, end: number): number {
  return start === undefined || end < start ? end : end - start
}

/** Most entries in a list of threads. In a longer list, the least busy workers share an entry, and so do threads of addons. */
export const MOST_ENTRIES = 24
/** In a longer list, workers and addon threads keep this many own entries. The other 6: main, pool, V8, monitor, two shared. */
const MOST_SINGLE = MOST_ENTRIES - 6

/** Name of the entry for CPU time that no thread accounts for. */
export const NOT_READ = 'threads that ended or could not be read'

/** CPU time that no thread accounts for is listed only if it exceeds this, ms, and {@link LEAST_MISSING_SHARE}. */
const LEAST_MISSING_MS = 30
/** CPU time that no thread accounts for is listed only if it exceeds this share, 0 to 1, of the process's CPU time. */
const LEAST_MISSING_SHARE = 0.03

/** Lists the CPU use of threads, largest first. Threads of the same kind and name share an entry, except workers. */
export function threadUses(
  { spanMs, cpuMs, threads }: CpuSpan,
  identify: (tid: number) => Identity,
): ThreadUse[] {
  const groups = new Map<string, Group>()
  let knownMs = 0
  for (const [tid, time] of threads) {
    const identity = identify(tid)
    const key = [identity.kind, identity.id ?? '', identity.name].join('\n')
    const group = groups.get(key) ?? { identity, cpuMs: 0, waitMs: 0, count: 0 }
    groups.set(key, {
      identity,
      cpuMs: group.cpuMs + time.cpuMs,
      // The wait of a shared entry is the longest wait of its threads: a sum would be the wait of no thread.
      waitMs: Math.max(group.waitMs, time.waitMs),
      count: group.count + 1,
    })
    knownMs += time.cpuMs
  }
  const missingMs = cpuMs - knownMs
  if (missingMs > Math.max(LEAST_MISSING_MS, cpuMs * LEAST_MISSING_SHARE)) {
    const identity = { kind: 'other', name: NOT_READ } as const
    groups.set('', { identity, cpuMs: missingMs, waitMs: NaN, count: 1 })
  }
  return bounded([...groups.values()].sort(largestFirst)).map((group) => useOf(group, spanMs))
}

function largestFirst(one: Group, other: Group): number {
  return other.cpuMs - one.cpuMs
}

/** Cuts the list to 24 entries. The main thread always keeps its entry: the log line compares the busiest thread with it. */
function bounded(groups: readonly Group[]): readonly Group[] {
  if (groups.length <= MOST_ENTRIES) return groups
  const isOfMany = ({ identity }: Group): boolean => COMBINED_KINDS.some((kind) => kind === identity.kind)
  const rest = groups.filter(isOfMany).slice(MOST_SINGLE)
  const kept = groups.filter((group) => !rest.includes(group))
  const combined = COMBINED_KINDS.flatMap((kind) =>
    combine(rest.filter(({ identity }) => identity.kind === kind)),
  )
  return [...kept, ...combined].sort(largestFirst)
}

const COMBINED_KINDS = ['worker', 'other'] as const

/** Combines threads of one kind into one entry without a name. */
function combine(groups: readonly Group[]): readonly Group[] {
  const [first, ...others] = groups
  if (!first || others.length === 0) return groups
  const cpuMs = groups.reduce((sum, group) => sum + group.cpuMs, 0)
  const count = groups.reduce((sum, group) => sum + group.count, 0)
  return [{ identity: { kind: first.identity.kind, name: '' }, cpuMs, waitMs: NaN, count }]
}

interface Group {
  readonly identity: Identity
  readonly cpuMs: number
  readonly waitMs: number
  readonly count: number
}

function useOf({ identity: { kind, name, id }, cpuMs, waitMs, count }: Group, spanMs: number): ThreadUse {
  return {
    name,
    kind,
    ...(id === undefined ? {} : { id }),
    ...(count === 1 ? {} : { count }),
    cpuPercent: percent(cpuMs, spanMs),
    // At most 100: the kernel's clock, which measures the wait, differs a little from the clock of the span.
    ...(Number.isNaN(waitMs) ? {} : { waitPercent: Math.min(100, percent(waitMs, spanMs)) }),
  }
}

/** Returns a time as a percentage of a span (above 100 with the CPU time of several threads), rounded to tenths. */
export function percent(partMs: number, spanMs: number): number {
  return Math.round((partMs / spanMs) * 1000) / 10
}
