import { isMainThread, threadId } from 'node:worker_threads'
import { readRss } from '../base/rss'
import { type HeapFigures, OWN_THREAD_NAME, type ThreadTime, type WorkerBirth } from '../base/thread-figures'
import { epochMs, monotonicMs } from '../base/time'
import { loadForkHelper } from '../capture/heap/fork/helper'
import type { MemoryOfThreads, ThreadMemory } from '../capture/threads/list-workers'
import type { Picture } from '../dispatch/events'
import type { WorkerHeap } from '../makeup/makeup'
import { memoryUse } from '../makeup/memory'
import { FlightRecorder } from '../makeup/recorder'
import { type KnownThreads, Roster } from '../makeup/roster'
import { percent, ThreadHistory, threadUses } from '../makeup/threads'
import { readOwnThreadCpuMs } from '../system/figures'
import type { LoopReport } from '../system/loop-meter'
import { listThreads, mainThreadId, ownThreadId, readThreadTimes, threadName } from '../system/threads'

/** Figures about heap and event loop that only the main thread can measure. May be read on another thread. */
export interface MainReports {
  /** Latest heap figures of the main thread; `undefined` before the first report. */
  readonly figures: HeapFigures | undefined
  /** Delay of the main thread's event loop, ms. */
  delayMs(nowMs: number): number
  /** Sets whether the main thread goes on reporting heap figures. */
  wantFigures(areWanted: boolean): void
  /**
   * Returns the latest state of the main thread's event loop, with the largest delay since the previous call.
   * `undefined` until the first report after {@link wantLoop}.
   */
  takeLoop(): LoopReport | undefined
  /** Makes the main thread measure and report the state of its event loop. */
  wantLoop(): void
}

export interface RecordParts {
  readonly main: MainReports
  /** Kernel ids of V8's threads and of libuv's pool, found by the order of their starts: older Node versions do not name them. */
  readonly known: Pick<KnownThreads, 'v8' | 'pool'>
  /** Whether an idle main thread must also report heap figures with each reading, because a rule needs them. */
  readonly needsFigures: boolean
}

/** Interval at which CPU use, memory and event loop delay of the process are recorded, ms. */
export const RECORD_INTERVAL_MS = 1000
/** Time span that a picture (description of the process for a dump) covers when its request names none, ms. */
export const DEFAULT_SPAN_MS = 10_000
/** Below this CPU use, percent of one core, the process counts as idle. */
const IDLE_PERCENT = 2
/** In an idle process, the main thread is asked for heap figures only with one of this many readings. */
const IDLE_READINGS = 10
/** Shortest time between two records of the threads' CPU times, except for a dump, ms. Within less time they hardly change. */
const LEAST_MARK_GAP_MS = 200
/** Largest number of thread names that are remembered, those of ended threads included. */
const NAMES_KEPT = 1024

/** Estimated memory of Node.js and this library themselves, without heap and external memory, bytes. */
export const USUAL_REST = 60 * 1024 * 1024

/** Substitutes for the kernel's ids of the main thread and the watchdog thread where there is no /proc to read them from. */
const MAIN = 1
const MONITOR = 2

interface Times {
  readonly atMs: number
  readonly cpuMs: number
  readonly gcMs: number
}

/**
 * Records CPU use and memory of the process in the last minutes, and the CPU time of its threads, to describe the process
 * in a dump. RSS and CPU times are read here, on any thread; the main thread reports its heap and event loop.
 */
export class ProcessRecord {
  readonly #main: MainReports
  readonly #needsFigures: boolean
  readonly #roster: Roster
  readonly #recorder = new FlightRecorder()
  readonly #history = new ThreadHistory()
  readonly #names = new Map<number, string>()
  readonly #hasProc = listThreads().length > 0
  readonly #gcTimeMs = loadGcTime()
  #latest: Times | undefined
  #markedAtMs = -Infinity
  #readings = 0
  #restAtStart: number | undefined
  /** Whether the application may have started a worker before the first reading. The watchdog thread then has an id above 1. */
  #hasOlderWorkers = !isMainThread && threadId > 1
  /** Latest resident memory that could be read, bytes. */
  #rss = 0

  constructor({ main, known, needsFigures }: RecordParts) {
    this.#main = main
    this.#needsFigures = needsFigures
    const own = this.#hasProc ? ownThreadId() : MONITOR
    this.#roster = new Roster({
      ...known,
      main: this.#hasProc ? mainThreadId() : MAIN,
      monitor: isMainThread ? undefined : own,
    })
    this.mark()
  }

  /** Records one reading of CPU use and memory. Called every {@link RECORD_INTERVAL_MS}. */
  read(): void {
    const [now, before] = [readTimes(this.#gcTimeMs), this.#latest]
    const spanMs = before ? now.atMs - before.atMs : NaN
    const cpuPercent = before ? percent(now.cpuMs - before.cpuMs, spanMs) : NaN
    this.#latest = now
    const { figures } = this.#main
    const rss = readRss()
    this.#rss = rss ?? this.#rss
    if (figures && rss !== undefined && this.#restAtStart === undefined) {
      const { rest } = memoryUse(rss, figures, [], now.atMs)
      // The memory of worker threads is read only at a dump, so `rest` includes that of workers that run already. The upper
      // limit keeps most of it out.
      this.#restAtStart = this.#hasOlderWorkers ? Math.min(rest, USUAL_REST) : rest
    }
    this.#recorder.add({
      atEpochMs: epochMs(),
      cpuPercent,
      rss: rss ?? NaN,
      heapUsed: figures?.heapUsed ?? NaN,
      loopDelayMs: this.#main.delayMs(now.atMs),
      gcPercent: before ? percent(now.gcMs - before.gcMs, spanMs) : NaN,
    })
    this.mark()
    const isIdle = cpuPercent < IDLE_PERCENT && !this.#needsFigures
    this.#main.wantFigures(!isIdle || this.#readings % IDLE_READINGS === 0)
    this.#readings++
  }

  /**
   * Records the CPU times of all threads now, so that {@link picture} can give CPU use since this moment. Does nothing within
   * {@link LEAST_MARK_GAP_MS} of the previous record.
   */
  mark(): void {
    const now = readTimes(this.#gcTimeMs)
    if (now.atMs - this.#markedAtMs >= LEAST_MARK_GAP_MS) this.#addMark(now)
  }

  /** Called when the main thread has started a worker thread. */
  noteWorker(birth: WorkerBirth): void {
    this.#roster.addWorker(birth)
    if (birth.name !== OWN_THREAD_NAME) this.#hasOlderWorkers = true
  }

  /**
   * Describes the process for a dump that begins now: CPU use of its threads, memory by owner, and readings of the last minutes.
   *
   * @param sinceMs - Monotonic time from which CPU use counts, ms.
   * @param asked - Memory that the threads have reported for this description.
   */
  picture(sinceMs: number, { workers, main }: MemoryOfThreads = { workers: [] }): Picture {
    this.#roster.nameWorkers(workers)
    const now = readTimes(this.#gcTimeMs)
    this.#addMark(now)
    const listed = workers.filter(isOfApplication)
    const heaps = listed.flatMap(({ id, name, memory }) => (memory ? [workerHeap({ id, name }, memory)] : []))
    const unread = listed.flatMap(({ id, name, memory }) => (memory ? [] : [{ id, name }]))
    const rss = main?.rss ?? readRss() ?? this.#rss
    const reported = this.#main.figures
    const figures = reported && main ? { ...reported, ...main, atMs: now.atMs } : reported
    const memory = {
      ...memoryUse(rss, figures, heaps, now.atMs, this.#restAtStart),
      ...(unread.length > 0 && { unread }),
    }
    const flight = this.#recorder.flight((atEpochMs) => new Date(atEpochMs).toISOString())
    const span = this.#history.since(sinceMs)
    if (!span) return { makeup: { spanMs: 0, cpuPercent: 0, threads: [], memory }, flight }
    const { spanMs, cpuMs, gcMs } = span
    const threads = threadUses(span, (tid) => this.#roster.identify(tid, this.#nameNow(tid)))
    const gc = Number.isNaN(gcMs) ? {} : { gcPercent: percent(gcMs, spanMs) }
    const makeup = { spanMs: Math.round(spanMs), cpuPercent: percent(cpuMs, spanMs), threads, ...gc, memory }
    return { makeup, flight }
  }

  #addMark(now: Times): void {
    const threads = this.#hasProc ? readThreadTimes() : this.#timesByNode()
    for (const { tid } of threads) if (!this.#names.has(tid)) this.#nameNow(tid)
    this.#history.add({ ...now, threads })
    this.#markedAtMs = now.atMs
  }

  /**
   * Returns the name of a thread. The name is read anew each time, because a thread gets its name some time after its start.
   * For a thread that has ended, the last known name is returned.
   */
  #nameNow(tid: number): string | undefined {
    const name = this.#hasProc ? threadName(tid) : undefined
    if (name === undefined) return this.#names.get(tid)
    this.#names.delete(tid)
    this.#names.set(tid, name)
    const [oldest] = this.#names.keys()
    if (this.#names.size > NAMES_KEPT && oldest !== undefined) this.#names.delete(oldest)
    return name
  }

  #timesByNode(): ThreadTime[] {
    const own = { tid: isMainThread ? MAIN : MONITOR, cpuMs: readOwnThreadCpuMs(), waitMs: NaN }
    const main = { tid: MAIN, cpuMs: this.#main.figures?.threadCpuMs ?? NaN, waitMs: NaN }
    return (isMainThread ? [own] : [main, own]).filter(({ cpuMs }) => !Number.isNaN(cpuMs))
  }
}

/** Whether a worker thread was started by the application, not by this package. */
function isOfApplication({ id, name }: { readonly id: number; readonly name: string }): boolean {
  return name !== OWN_THREAD_NAME && (isMainThread || id !== threadId)
}

function workerHeap(
  { id, name }: { readonly id: number; readonly name: string },
  { heapUsed, heapTotal, external, arrayBuffers }: ThreadMemory,
): WorkerHeap {
  return { id, name, heapUsed, heapTotal, external, arrayBuffers }
}

function readTimes(gcTimeMs: () => number): Times {
  const { user, system } = process.cpuUsage()
  return { atMs: monotonicMs(), cpuMs: (user + system) / 1000, gcMs: gcTimeMs() }
}

function loadGcTime(): () => number {
  const loaded = loadForkHelper()
  return ('helper' in loaded ? loaded.helper.gcTimeMs : undefined) ?? (() => NaN)
}
