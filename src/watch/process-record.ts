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

/** Reports of the main thread about itself, on whichever thread they are read. */
export interface MainReports {
  /** The latest figures, `undefined` before the first. */
  readonly figures: HeapFigures | undefined
  /** Delay of the main thread's event loop, ms. */
  delayMs(nowMs: number): number
  /** Sets whether the main thread keeps reporting figures. */
  wantFigures(areWanted: boolean): void
  /**
   * Returns the latest state of the main thread's event loop, with the largest delay since the previous call. Absent
   * until {@link wantLoop} was called, and a report has come.
   */
  takeLoop(): LoopReport | undefined
  wantLoop(): void
}

export interface RecordParts {
  readonly main: MainReports
  /** Threads that are known by the order in which they were started. */
  readonly known: Pick<KnownThreads, 'v8' | 'pool'>
  /** Whether to read the figures of an idle main thread too, because a rule needs them. */
  readonly needsFigures: boolean
}

/** Interval of the readings of the process, ms. */
export const RECORD_INTERVAL_MS = 1000
/** Time span that a picture (description of the process for a dump) covers when its request names none, ms. */
export const DEFAULT_SPAN_MS = 10_000
/** Below this CPU use, percent of a core, the main thread reports figures only every {@link IDLE_READINGS} readings. */
const IDLE_PERCENT = 2
const IDLE_READINGS = 10
/** Shortest time between two records of the threads' CPU times, ms: closer ones add nothing. */
const LEAST_MARK_GAP_MS = 200
/** Number of thread names that are remembered, those of ended threads included. */
const NAMES_KEPT = 1024

/** What Node.js takes by itself beside heap and external memory, with this library, about, bytes. */
export const USUAL_REST = 60 * 1024 * 1024

/** Stand for the kernel's ids of two threads where there is no /proc. */
const MAIN = 1
const MONITOR = 2

interface Times {
  readonly atMs: number
  readonly cpuMs: number
  readonly gcMs: number
}

/**
 * Records the last minutes of the process: the flight recorder, and the CPU time of its threads. Figures that any
 * thread can read are read here; those that only the main thread can read come with its reports.
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
  /** Whether a worker may be older than the first reading. The watch's own thread is the first of a process without one. */
  #hasOlderWorkers = !isMainThread && threadId > 1
  /** The latest that could be read, bytes. */
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

  /** Takes one reading for the flight recorder; called every {@link RECORD_INTERVAL_MS}. */
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
      // Workers are only asked at a dump, so older ones are in this rest with all their memory.
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

  /** Records the CPU time of all threads, so that a picture can begin at this moment. */
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
   * Describes the process as it is now.
   *
   * @param sinceMs - Monotonic time from which CPU use counts, ms.
   * @param asked - The threads' answers for this picture.
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

  /** A thread gets its name some time after its start; the name of a thread that has ended is remembered. */
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

/** Neither the calling thread nor another one of this package. */
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
