import { AbortController, messageOf, Promise } from '../../base/globals'
import { monotonicMs, pause, setImmediate, tenths } from '../../base/time'
import { type OpenArtefact, openArtefact } from '../../files/artefact'
import { artefactName } from '../../files/names'
import { removePartial } from '../../files/partial'
import type { Artefact, How } from '../../files/sidecar'
import type { Captured, Job, PassedOver } from '../capture'
import { ORDER_TIMEOUT_MS } from '../main-thread/patient'
import { guiltiestFirst } from '../threads/busy'
import type { EndedWorkerProfiles, RunningWorkerProfiles, WorkerProfile } from '../threads/worker-profiles'
import { INSPECTOR_WAY } from './inspector'
import { type TurningThread, waitForLongStretch } from './long-stretch'
import { profileJson } from './profile-json'
import type { RunningProfile, StoppedProfile } from './way'

/** Longest wait for the CPU profiles of all workers together, ms. A worker that spins in a loop answers within 20 ms. */
export const WORKERS_DEADLINE_MS = 10_000
/**
 * Longest wait for the CPU profiles of all workers when the dump is ended early, ms. After this time no further worker's file is
 * begun. An exiting process waits 450 ms in all for a dump.
 */
export const WORKERS_EARLY_DEADLINE_MS = 250
/** Largest number of workers that the sidecar (`.json`) of the main thread's profile lists. */
const WORKERS_NAMED = 64

/** A CPU profile that is being recorded, and the file for it. */
export interface StartedProfile {
  readonly open: OpenArtefact
  readonly running: RunningProfile
  readonly way: string
  readonly passedOver: readonly PassedOver[]
  readonly samplingIntervalUs: number
  readonly startedAtMs: number
}

/** Ends a running CPU profile when its time is over and writes its file. `finishNow` does so at once, synchronously, at exit. */
export class Recording {
  readonly #started: StartedProfile
  readonly #job: Job
  readonly #early: AbortSignal
  readonly #mainThread: TurningThread
  readonly #workers: RunningWorkerProfiles | undefined
  readonly #cpuMsBefore: number | undefined
  readonly #over = new AbortController()
  #forgetPauseMs: number | undefined
  #stopped: StoppedProfile | undefined
  #endedNow: { readonly captured: Captured } | { readonly error: unknown } | undefined
  #wake: () => void = () => undefined

  /** @param workers - Running CPU profiles of worker threads; `undefined` where this Node cannot profile worker threads. */
  constructor(
    started: StartedProfile,
    job: Job,
    early: AbortSignal,
    mainThread: TurningThread,
    workers: RunningWorkerProfiles | undefined,
  ) {
    this.#started = started
    this.#job = job
    this.#early = early
    this.#mainThread = mainThread
    this.#workers = workers
    this.#cpuMsBefore = mainThread.cpuMs()
  }

  async finish(): Promise<Captured> {
    const { open, running } = this.#started
    // If this call fails, the profile is complete, but may lack names of functions.
    this.#keepNames().catch(() => undefined)
    try {
      // An early end shortens the profile, and its file is complete all the same.
      await Promise.race([
        pause(this.#job.durationMs, this.#early),
        new Promise<void>((resolve) => (this.#wake = resolve)),
      ])
      if (this.#endedNow) return outcomeOf(this.#endedNow)
      this.#over.abort()
      const waitMs = this.#early.aborted ? WORKERS_EARLY_DEADLINE_MS : WORKERS_DEADLINE_MS
      const untilMs = monotonicMs() + waitMs
      const workersEnd = this.#workers?.stop(waitMs)
      this.#stopped ??= running.stopNow?.(open.target) ?? (await running.stop(open.target))
      const busyMs = this.#busyMs(this.#stopped)
      for (const piece of this.#stopped.pieces) {
        open.write(piece)
        await nextTurn()
      }
      const workers = await workersEnd
      const how = this.#how(this.#stopped, { busyMs, workers })
      const artefact = await open.publish(how, this.#stopped.writtenBytes)
      return this.#captured(how, await this.#withWorkers({ busyMs, artefact }, workers, untilMs))
    } catch (error) {
      open.abandon()
      throw error
    } finally {
      this.#workers?.abandon()
    }
  }

  /**
   * Ends the CPU profile of the main thread at once, discards those of workers, and writes the file synchronously, because the
   * process exits. Returns `undefined`, and leaves the file incomplete, when `isTimeOver` returns `true`, or when the calling
   * thread is not the main thread: the profiler answers synchronously only there.
   */
  finishNow(isTimeOver: () => boolean): Captured | undefined {
    const { open, running } = this.#started
    if (isTimeOver()) return undefined
    this.#over.abort()
    // An exiting process no longer runs its event loop, so no answer of a worker can arrive.
    this.#workers?.abandon()
    try {
      this.#stopped ??= running.stopNow?.(open.target)
      if (!this.#stopped) return undefined
      for (const piece of this.#stopped.pieces) {
        if (isTimeOver()) return undefined
        open.write(piece)
      }
      const how = this.#how(this.#stopped)
      const artefact = open.publishNow(how, this.#stopped.writtenBytes)
      this.#endedNow = { captured: this.#captured(how, { artefacts: [artefact] }) }
    } catch (error) {
      removePartial(open.partial)
      this.#endedNow = { error }
    }
    this.#wake()
    return outcomeOf(this.#endedNow)
  }

  /**
   * Makes V8 discard its optimized code once, so that the profile names all functions. Does so at once if a blocked event loop
   * caused the dump; else when the main thread's event loop has long iterations, one of which may be an endless loop. A loaded
   * server with short requests has none and keeps its optimized code: without it, each request would cost twice the CPU for
   * seconds.
   */
  async #keepNames(): Promise<void> {
    // If a blocked event loop caused the dump, do not wait: the block may end soon.
    const isBlocked = this.#job.sidecar.why.rule === 'blocked'
    if (!isBlocked && !(await waitForLongStretch(this.#mainThread, this.#over.signal))) return
    this.#forgetPauseMs = await this.#started.running.forgetOptimizedCode()
  }

  /**
   * Writes the profile of each worker to a file. If the dump is ended early, begins no file after `untilMs` (monotonic). If a
   * file cannot be written, the dump still has the others.
   *
   * @returns The files of all threads, the one with the largest CPU time first.
   */
  async #withWorkers(
    main: { readonly busyMs: number; readonly artefact: Artefact },
    workers: EndedWorkerProfiles | undefined,
    untilMs: number,
  ): Promise<Pick<Captured, 'artefacts' | 'failure'>> {
    const threads = [main]
    let failure: Error | undefined
    for (const worker of workers?.profiles ?? []) {
      if (this.#early.aborted && monotonicMs() > untilMs) break
      try {
        threads.push({ busyMs: worker.busyMs, artefact: await this.#writeWorker(worker) })
      } catch (error) {
        failure ??= new Error(`the profile of worker ${worker.id} could not be written: ${messageOf(error)}`)
      }
    }
    const [first = main.artefact, ...others] = guiltiestFirst(threads).map(({ artefact }) => artefact)
    return { artefacts: [first, ...others], ...(failure && { failure }) }
  }

  async #writeWorker(worker: WorkerProfile): Promise<Artefact> {
    const { id, name, profile, busyMs, startedLateMs, discardedOptimizedCode } = worker
    const { directory, baseName, sidecar } = this.#job
    const { samplingIntervalUs } = this.#started
    const thread = { kind: 'worker', id, name } as const
    const open = openArtefact(directory, artefactName(baseName, '.cpuprofile', id), { ...sidecar, thread })
    try {
      for (const piece of profileJson(profile)) {
        open.write(piece)
        await nextTurn()
      }
      return await open.publish({
        way: INSPECTOR_WAY,
        passedOver: [],
        // The pause of a worker is not measured.
        pauseMs: 0,
        durationMs: (profile.endTime - profile.startTime) / 1000,
        notes: {
          ...{ samplingIntervalUs, endedEarly: this.#early.aborted, discardedOptimizedCode },
          ...{ busyMs: Math.round(busyMs), startedLateMs: Math.round(startedLateMs) },
        },
      })
    } catch (error) {
      open.abandon()
      throw error
    }
  }

  /**
   * Returns the CPU time of the main thread during the profile, ms; where the system does not show it, the time in which the
   * profile is not idle. `Infinity` if neither is known: the main thread then counts as the busiest.
   */
  #busyMs({ busyMs = Infinity }: StoppedProfile): number {
    const cpuMs = this.#mainThread.cpuMs()
    return cpuMs === undefined || this.#cpuMsBefore === undefined ? busyMs : cpuMs - this.#cpuMsBefore
  }

  #how(
    { stopPauseMs }: StoppedProfile,
    { busyMs, workers }: { busyMs?: number; workers?: EndedWorkerProfiles | undefined } = {},
  ): How {
    const { running, way, passedOver, samplingIntervalUs, startedAtMs } = this.#started
    const discardedOptimizedCode = this.#forgetPauseMs !== undefined
    const notes = {
      ...{ samplingIntervalUs, endedEarly: this.#early.aborted, discardedOptimizedCode },
      ...this.#late(),
      ...(busyMs !== undefined && Number.isFinite(busyMs) && { busyMs: Math.round(busyMs) }),
      ...(workers && workers.notes.length > 0 && { workers: workers.notes.slice(0, WORKERS_NAMED) }),
      ...(workers?.failure !== undefined && { noWorkers: workers.failure }),
    }
    const pauseMs = running.startPauseMs + (this.#forgetPauseMs ?? 0) + stopPauseMs
    return { way, passedOver, pauseMs, durationMs: monotonicMs() - startedAtMs, notes }
  }

  #captured({ way, passedOver, pauseMs }: How, files: Pick<Captured, 'artefacts' | 'failure'>): Captured {
    const durationMs = monotonicMs() - this.#started.startedAtMs
    return { way, passedOver, pauseMs, durationMs, ...files, ...this.#late() }
  }

  #late(): { readonly lateMs?: number } {
    const { acceptedAfterMs } = this.#started.running
    return acceptedAfterMs > ORDER_TIMEOUT_MS ? { lateMs: tenths(acceptedAfterMs) } : {}
  }
}

function outcomeOf(ended: { readonly captured: Captured } | { readonly error: unknown }): Captured {
  if ('error' in ended) throw ended.error
  return ended.captured
}

/** Lets other work of this thread run between two pieces of a file. An unref'd immediate would run only after another event. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve))
}
