import type { Artefact, EvidentThread, KnownBefore } from '../files/sidecar'

/** A way of capturing (an engine, a package) that was not used, and the reason. */
export interface PassedOver {
  readonly way: string
  readonly why: string
}

/** Joins the reasons why each way of capturing was not used, for an error that says that none is left. */
export function whyNone(passedOver: readonly PassedOver[]): string {
  return passedOver.map(({ way, why }) => `${way}: ${why}`).join('; ')
}

/** Why a dump is not made, with the numbers that decided it. */
export interface Refusal {
  readonly skip: 'memory' | 'disk' | 'busy'
  /** Needed, available and reserved bytes, by name. `worker`: `threadId` of the worker whose heap does not fit. */
  readonly numbers: Readonly<Record<string, number>>
}

/** A dump to capture: the directory and the name of its files, and the known part of the sidecar (`.json`) of each. */
export interface Job {
  readonly directory: string
  /** Name without extension, as `files/names` builds it. */
  readonly baseName: string
  /** The part of the sidecar known before the capture: why and where, and the CPU and memory use by thread. */
  readonly sidecar: KnownBefore
  /** Length of a CPU profile, ms. Heap captures ignore it. */
  readonly durationMs: number
  /** For a memory dump: the worker thread whose heap holds most of the process's memory, if there is one. */
  readonly worker?: WorkerToDump | undefined
}

export type WorkerToDump = Pick<EvidentThread, 'id' | 'name'>

/** The result of a capture: complete files, and what they cost the application. */
export interface Captured {
  /** Files of the dump, that of the thread with the largest use first. Each is complete, synced and has its final name. */
  readonly artefacts: readonly [Artefact, ...Artefact[]]
  /** How the dump was captured, e.g. `inspector`, `v8-profiler-next`, `fork`, `heapdump`, `v8`, `sampling`. */
  readonly way: string
  readonly passedOver: readonly PassedOver[]
  /** Pause of the main thread for the dump, ms. */
  readonly pauseMs: number
  /** Time from the start of the capture until the last file had its final name, ms. */
  readonly durationMs: number
  /**
   * Time until the main thread accepted the first order (request), ms. Present only when that exceeded the order timeout
   * of 500 ms: the main thread was in one long native call, or had no CPU.
   */
  readonly lateMs?: number
  /** Peak of the forked child's private memory, bytes. Pages that it shares with the application do not count. */
  readonly childPeakBytes?: number
  /** Why the planned file (a heap snapshot, say) failed, if only a lesser file (a sampling profile) exists. */
  readonly failure?: Error
  /** Why the planned file did not fit into memory or onto the disk during the capture, if only a lesser file exists. */
  readonly refusal?: Refusal
}

/** A capture for which there is enough memory and disk space. Nothing is captured before `take` is called. */
export interface Plan {
  /** Why the best file (a heap snapshot) does not fit, if only a lesser one (a sampling profile) will be captured. */
  readonly refusal?: Refusal
  /**
   * Captures the dump. A failure leaves no incomplete file.
   *
   * @param early - Aborted to end a CPU profile before its time; its file is then complete all the same.
   * @returns The result; a refusal, without a file, when nothing fitted into memory or onto the disk any more.
   * @throws The file system's error, or the main thread's, when nothing could be captured.
   */
  take(job: Job, early: AbortSignal): Promise<Captured | Refusal>
}

/**
 * Makes one kind of dump (CPU or memory). The dispatcher, which decides whether to dump, knows only this interface. A
 * capture that waits does not keep its thread's event loop alive.
 */
export interface Capturer {
  /** Reads the free disk space and memory, and decides what fits now. */
  plan(directory: string): Promise<Plan | Refusal>
  /** Names of the ways of capturing that work on this machine, best first, and those that do not, with the reason. */
  ways(): { readonly available: readonly string[]; readonly passedOver: readonly PassedOver[] }
  /**
   * Ends a running `take` synchronously, because the process exits, and completes its file if this thread can do so. The
   * promise of `take` settles too. Absent where a capture cannot be ended early.
   *
   * @param isTimeOver - Returns `true` when the exit can wait no longer; the file is then left incomplete.
   * @returns `undefined` when no capture runs, or the time was over.
   * @throws The error that `take` would have rejected with.
   */
  endNow?(isTimeOver: () => boolean): Captured | undefined
}

/** Receives a capturer's progress, for log lines and events. Must not throw. */
export interface CaptureObserver {
  /** The main thread has not accepted an order (request) within 500 ms. Called once per order; the wait goes on. */
  orderLate(order: string): void
  /** Called with the pid of a forked child that makes the dump, even if this process ends; with `undefined` when it has ended. */
  childAtWork(pid: number | undefined): void
  /** Another user of V8's sampling heap profiler has stopped it, and it has been started again. Called once. */
  samplingWasStopped(): void
  /** The sampling heap profiler could not be started: memory dumps have no `.heapprofile`. */
  samplingFailed(error: Error): void
}

/** Thrown when an order (request to the main thread) cannot be sent because the process exits. The dump counts as skipped. */
export class ExitingError extends Error {
  constructor() {
    super('the process is exiting')
  }
}
