import type { Profiler, Session } from 'node:inspector'
import { AbortController, messageOf, Promise } from '../../base/globals'
import { OWN_THREAD_NAME } from '../../base/thread-figures'
import { monotonicMs, pause } from '../../base/time'
import { busyTime } from '../cpu/busy-time'
import { forgetOptimizedCode } from '../cpu/forget-optimized-code'
import { waitForLongStretch } from '../cpu/long-stretch'
import { ORDER_TIMEOUT_MS } from '../main-thread/patient'
import { BusyWatch, guiltiestFirst } from './busy'
import { type AttachedWorker, attachToWorkers } from './worker-sessions'

/** Interval at which the CPU time of workers that are not profiled yet is read, ms. */
const LOOK_EVERY_MS = 200

/**
 * Where the system shows CPU times, a worker that starts during the dump is profiled only when it is at least this old, ms.
 * Node 20 can crash when a worker ends while it is profiled, about once in a thousand such ends. Most short-lived workers
 * end before this age.
 */
const LEAST_AGE_MS = 1000

/** Maximum number of workers whose CPU time is read during a dump. */
const MOST_WORKERS = 1024

/**
 * When no more workers may be profiled, a worker takes the place of the least busy profiled one if it has used at least this
 * many times as much CPU time.
 */
const CLEARLY_BUSIER = 2

/** Share of busy time, 0 to 1, below which a profile shows an idle worker. Used only where the system shows no CPU times. */
const LEAST_BUSY_SHARE = 0.05

export interface WorkerProfilesParts {
  /** Opens an inspector session to the main thread. */
  readonly connect: () => Session
  /** `threadId` of the calling thread. */
  readonly ownThreadId: number
  readonly samplingIntervalUs: number
  /** Maximum number of workers that are profiled at the same time. */
  readonly most: number
  /** CPU time of one thread by its kernel id, ms; `undefined` where the system does not show it. */
  readonly cpuMs: (threadId: number) => number | undefined
}

/** Entry of one worker in the sidecar, the `.json` beside a dump: whether the worker has a profile, and if not, why. */
export interface WorkerNote {
  readonly id: number
  readonly name: string
  /** CPU time that the worker used during the dump, ms. Absent where it is not known. */
  readonly cpuMs?: number
  /** Why the worker has no profile; absent when it has one. */
  readonly why?: string
}

export interface WorkerProfile {
  readonly id: number
  readonly name: string
  readonly profile: Profiler.Profile
  /** CPU time that the worker used during the dump, ms; where it is not known, the busy time in its profile. */
  readonly busyMs: number
  readonly startedLateMs: number
  readonly discardedOptimizedCode: boolean
}

export interface EndedWorkerProfiles {
  readonly profiles: readonly WorkerProfile[]
  /** One entry per worker that was busy or did not answer. Idle workers have none. */
  readonly notes: readonly WorkerNote[]
  /** Why the workers could not be listed; absent when they could. */
  readonly failure?: string
}

/** Profiles of the application's busy workers that are being recorded. */
export interface RunningWorkerProfiles {
  /**
   * Ends the profiles. Never rejects.
   *
   * @param deadlineMs - Longest wait for the answers of all workers together, ms.
   */
  stop(deadlineMs: number): Promise<EndedWorkerProfiles>
  /** Ends all profiles and discards their samples. Idempotent. */
  abandon(): void
}

/**
 * Starts a CPU profile of each worker of the application that is busy, or becomes busy, during a CPU dump: of at most `most` at a
 * time, the busiest first. An idle worker only answers one inspector call. Where the system shows no CPU times, idle workers are
 * profiled too, and their profiles are discarded at the end. A failure costs the profile of one worker, or of all if they cannot
 * be listed, but never the dump.
 */
export function startWorkerProfiles(parts: WorkerProfilesParts): RunningWorkerProfiles {
  return new WorkerProfiles(parts)
}

/** JavaScript run in a worker. Its result ends with the kernel's id of the worker's thread, which Node shows in no other way. */
const WHICH_THREAD = "process.getBuiltinModule('node:fs').readlinkSync('/proc/thread-self')"
/** JavaScript run in a worker: returns a promise that resolves in the next iteration of the worker's event loop. */
const NEXT_TURN = 'new Promise((resolve) => setImmediate(resolve)).then(() => 0)'

class WorkerProfiles implements RunningWorkerProfiles {
  readonly #parts: WorkerProfilesParts
  readonly #beganAtMs = monotonicMs()
  readonly #over = new AbortController()
  readonly #workers = new Map<AttachedWorker, Watched>()
  #session: Session | undefined
  #failure: string | undefined
  /** Whether all workers that existed when the dump began are attached. A worker attached later has just started. */
  #isListed = false

  constructor(parts: WorkerProfilesParts) {
    this.#parts = parts
    try {
      this.#session = parts.connect()
      this.#failure = 'the main thread did not list its workers: it was probably in one long native call'
      attachToWorkers(this.#session, {
        attached: (worker) => this.#attached(worker),
        detached: (worker) => this.#workers.get(worker)?.ended(),
        listed: (error) => {
          this.#isListed = true
          if (!error) this.#failure = undefined
        },
      })
    } catch (error) {
      this.#failure = messageOf(error)
    }
    void this.#look()
  }

  async stop(deadlineMs: number): Promise<EndedWorkerProfiles> {
    this.#over.abort()
    const done = new AbortController()
    const late = pause(deadlineMs, done.signal)
    // Sort the busiest first: the caller writes the profiles in this order, and an early end may leave no time for the last.
    const workers = guiltiestFirst([...this.#workers.values()])
    // Stop all at once: a worker in one long native call must not use up the time for the other workers.
    const stopped = await Promise.all(workers.map((worker) => worker.stop(late)))
    done.abort()
    this.abandon()
    const profiles = stopped.flatMap(({ profile }) => profile ?? [])
    const notes = stopped.flatMap(({ note }) => note ?? [])
    return { profiles, notes, ...(this.#failure === undefined ? {} : { failure: this.#failure }) }
  }

  abandon(): void {
    this.#over.abort()
    for (const worker of this.#workers.values()) worker.abandon()
    this.#session?.disconnect()
    this.#session = undefined
  }

  #attached(worker: AttachedWorker): void {
    if (worker.id === this.#parts.ownThreadId || worker.name === OWN_THREAD_NAME) return
    if (this.#over.signal.aborted || this.#workers.size >= MOST_WORKERS) return
    const dump = { beganAtMs: this.#beganAtMs, wasThere: !this.#isListed }
    const watched = new Watched(worker, this.#parts, dump)
    this.#workers.set(worker, watched)
    void watched.identify().then((isKnown) => {
      if (!isKnown) this.#begin(watched)
    })
  }

  async #look(): Promise<void> {
    const { signal } = this.#over
    while (!signal.aborted) {
      await pause(LOOK_EVERY_MS, signal)
      if (signal.aborted) return
      const busy = [...this.#workers.values()].filter((worker) => worker.look())
      for (const worker of guiltiestFirst(busy)) this.#begin(worker)
    }
  }

  /**
   * Starts the profile of a worker. If the maximum number of workers is being profiled already, the least busy of these
   * loses its profile, but only to a worker that has used at least twice as much CPU time. Otherwise no profile is started.
   */
  #begin(worker: Watched): void {
    const { most } = this.#parts
    const profiled = [...this.#workers.values()].filter(({ isProfiled }) => isProfiled)
    if (profiled.length >= most) {
      const least = guiltiestFirst(profiled).at(-1)
      const why = `more than ${most} workers were busy, or the disk has no room for more profiles`
      const isClearlyBusier =
        least && worker.busyMs < Infinity && worker.busyMs >= CLEARLY_BUSIER * least.busyMs
      if (!isClearlyBusier) return worker.passOver(why)
      least.giveUp(why)
    }
    worker.begin()
  }
}

/** State of one worker during a dump. */
class Watched {
  readonly #worker: AttachedWorker
  readonly #parts: WorkerProfilesParts
  readonly #beganAtMs: number
  readonly #wasThere: boolean
  readonly #over = new AbortController()
  #settleEnd: () => void = () => undefined
  /** Resolves when the worker has ended, and so will not answer any more. */
  readonly #end = new Promise<void>((resolve) => (this.#settleEnd = resolve))
  #threadId: number | undefined
  readonly #attachedAtMs = monotonicMs()
  #cpuMsBefore = 0
  #cpuMsLast = 0
  #busy: BusyWatch | undefined
  #state: 'unknown' | 'watched' | 'starting' | 'running' | 'stopped' | 'ended' | 'leftOut' = 'unknown'
  #startedAtMs = 0
  #why: string | undefined
  #hasForgotten = false

  /** @param dump - The time when the dump began, monotonic clock, ms, and whether this worker existed before. */
  constructor(
    worker: AttachedWorker,
    parts: WorkerProfilesParts,
    dump: { readonly beganAtMs: number; readonly wasThere: boolean },
  ) {
    this.#worker = worker
    this.#parts = parts
    this.#beganAtMs = dump.beganAtMs
    this.#wasThere = dump.wasThere
  }

  /** CPU time since the dump began, as last read, ms. `Infinity` if it is unknown: the worker then counts as the busiest. */
  get busyMs(): number {
    return this.#threadId === undefined ? Infinity : this.#cpuMsLast - this.#cpuMsBefore
  }

  get isProfiled(): boolean {
    return this.#state === 'starting' || this.#state === 'running'
  }

  /** Finds the kernel id of the worker's thread, and reads its CPU time. @returns `false` if the system does not show that. */
  async identify(): Promise<boolean> {
    try {
      const { result } = await this.#worker.ask<Evaluated>('Runtime.evaluate', {
        expression: WHICH_THREAD,
        returnByValue: true,
      })
      const threadId = Number(/\d+$/.exec(String(result.value))?.[0])
      const cpuMs = this.#parts.cpuMs(threadId)
      if (this.#state !== 'unknown') return true
      this.#state = 'watched'
      if (cpuMs === undefined) return false
      this.#threadId = threadId
      this.#cpuMsBefore = this.#cpuMsLast = cpuMs
      this.#busy = new BusyWatch(monotonicMs(), cpuMs)
      return true
    } catch {
      return true
    }
  }

  /** Reads the worker's CPU time. @returns Whether the worker is busy, not profiled so far, and old enough for a profile. */
  look(): boolean {
    this.#readCpu()
    if (this.#state !== 'watched' || !this.#busy) return false
    if (!this.#wasThere && monotonicMs() - this.#attachedAtMs < LEAST_AGE_MS) return false
    return this.#busy.isBusy(monotonicMs(), this.#cpuMsLast)
  }

  begin(): void {
    this.#state = 'starting'
    this.#why = undefined
    this.#start().catch((error: unknown) => {
      if (this.isProfiled) this.#leaveOut(messageOf(error))
    })
  }

  /** Records why the worker is not profiled now. It may still be profiled later in the dump. */
  passOver(why: string): void {
    this.#why = why
  }

  /**
   * Ends and discards the worker's profile. The worker gets no other one in this dump, because otherwise two workers that are
   * busy in turn would end each other's profile again and again.
   */
  giveUp(why: string): void {
    this.#leaveOut(why)
    // Ends the profile without sending it.
    this.#worker.ask('Profiler.disable').catch(() => undefined)
  }

  #leaveOut(why: string): void {
    this.#state = 'leftOut'
    this.#why = why
    this.abandon()
  }

  /** Stops waiting for a long iteration of the worker's event loop, at which V8 would discard its optimized code. */
  abandon(): void {
    this.#over.abort()
  }

  /** Called when the worker has ended. A profile that was still running is lost. */
  ended(): void {
    if (this.#state === 'stopped') return
    if (this.isProfiled) this.#why = 'the worker ended during the dump'
    this.#state = 'ended'
    this.#settleEnd()
    this.abandon()
  }

  async #start(): Promise<void> {
    const interval = this.#parts.samplingIntervalUs
    await Promise.all([
      this.#worker.ask('Profiler.enable'),
      this.#worker.ask('Profiler.setSamplingInterval', { interval }),
      this.#worker.ask('Profiler.start'),
    ])
    if (this.#state !== 'starting') return
    this.#state = 'running'
    this.#startedAtMs = monotonicMs()
    const cpuMs = (): number | undefined =>
      this.#threadId === undefined ? undefined : this.#parts.cpuMs(this.#threadId)
    if (!(await waitForLongStretch({ turn: () => this.#turn(), cpuMs }, this.#over.signal))) return
    this.#hasForgotten = true
    // If this fails, the profile lacks names of functions, but is still useful.
    for (const answer of forgetOptimizedCode((method) => this.#worker.ask(method)))
      answer.catch(() => undefined)
  }

  /** Resolves in the next iteration (turn) of the worker's event loop; never, if the worker has ended. Never rejects. */
  #turn(): Promise<number> {
    const call = { expression: NEXT_TURN, awaitPromise: true, returnByValue: true }
    return new Promise((resolve) => {
      this.#worker.ask('Runtime.evaluate', call).then(
        () => resolve(monotonicMs()),
        () => undefined,
      )
    })
  }

  /**
   * Ends the profile. The CPU time is read at this call, so a late answer does not change it.
   *
   * @param late - Resolves at the deadline: an answer after it is not used.
   * @returns The profile, and the worker's entry in the sidecar; an idle worker has neither.
   */
  async stop(late: Promise<void>): Promise<{ readonly profile?: WorkerProfile; readonly note?: WorkerNote }> {
    this.#readCpu()
    const profile = await this.#stopped(late)
    if (profile && this.#isIdle(profile)) return {}
    const note = this.#note()
    return { ...(profile && { profile: this.#describe(profile) }), ...(note && { note }) }
  }

  /** @returns The recorded profile; `undefined` when none was recorded, or it did not arrive in time. */
  async #stopped(late: Promise<void>): Promise<Profiler.Profile | undefined> {
    this.abandon()
    if (this.#state === 'starting')
      this.#why = 'the worker did not answer Profiler.start: it was probably in one long native call'
    if (this.#state !== 'running') return undefined
    const answer = this.#worker
      .ask<{ profile: Profiler.Profile }>('Profiler.stop')
      .catch((error: unknown) => {
        this.#why ??= messageOf(error)
      })
    const stopped = await Promise.race([answer, late, this.#end])
    if (stopped && this.#state === 'running') this.#state = 'stopped'
    else this.#why ??= 'the worker did not answer Profiler.stop in time'
    return stopped?.profile
  }

  /** Whether the profile shows an idle worker. `false` where the system shows CPU times: there, only busy ones are profiled. */
  #isIdle(profile: Profiler.Profile): boolean {
    return this.#threadId === undefined && busyTime(profile).share < LEAST_BUSY_SHARE
  }

  #describe(profile: Profiler.Profile): WorkerProfile {
    const { id, name } = this.#worker
    return {
      ...{ id, name, profile },
      busyMs: this.#threadId === undefined ? busyTime(profile).ms : this.busyMs,
      startedLateMs: this.#startedAtMs - this.#beganAtMs,
      discardedOptimizedCode: this.#hasForgotten,
    }
  }

  /** @returns The worker's entry in the sidecar (`.json`); `undefined` for a worker that was idle. */
  #note(): WorkerNote | undefined {
    const { id, name } = this.#worker
    if ((this.#state === 'watched' || this.#state === 'ended') && this.#why === undefined) return undefined
    if (this.#state === 'unknown') {
      // A worker that was attached less than 500 ms ago may not have had time to answer.
      if (monotonicMs() - this.#attachedAtMs < ORDER_TIMEOUT_MS) return undefined
      this.#why = 'the worker did not answer: it was probably in one long native call'
    }
    return {
      ...{ id, name },
      ...(this.#threadId === undefined ? {} : { cpuMs: Math.round(this.busyMs) }),
      ...(this.#why === undefined ? {} : { why: this.#why }),
    }
  }

  #readCpu(): void {
    if (this.#threadId === undefined || this.#state === 'ended') return
    this.#cpuMsLast = this.#parts.cpuMs(this.#threadId) ?? this.#cpuMsLast
  }
}

interface Evaluated {
  readonly result: { readonly value?: unknown }
}
