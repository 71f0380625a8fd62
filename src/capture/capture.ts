import type { Artefact, EvidentThread, KnownBefore } from '../files/sidecar'

/** Why one way of capturing (an engine, a package) was not used. */
export interface PassedOver {
  readonly way: string
  readonly why: string
}

/** Joins the reasons into one text, for when no way was left. */
export function whyNone(passedOver: readonly PassedOver[]): string {
  return passedOver.map(({ way, why }) => `${way}: ${why}`).join('; ')
}

/** A dump that is not made, and the numbers for which it is not. */
export interface Refusal {
  readonly skip: 'memory' | 'disk' | 'busy'
  /** Needed, available and reserved bytes, by name. `worker`: `threadId` of the worker whose heap it is about. */
  readonly numbers: Readonly<Record<string, number>>
}

/** A capture that the dispatcher orders: where, and the known part of its sidecar. */
export interface Job {
  readonly directory: string
  /** Name without extension, as `files/names` builds it. */
  readonly baseName: string
  /** The part of the sidecar that the dispatcher knows: why, where, and whose CPU and memory. */
  readonly sidecar: KnownBefore
  /** Length of a CPU profile, ms. Heap captures ignore it. */
  readonly durationMs: number
  /** Of a memory dump: the worker thread whose heap holds most of the memory, if one does. */
  readonly worker?: WorkerToDump | undefined
}

export type WorkerToDump = Pick<EvidentThread, 'id' | 'name'>

/** The result of a capture: whole files, and their cost. */
export interface Captured {
  /** The guiltiest artefact first. Each is whole, synced and under its final name. */
  readonly artefacts: readonly [Artefact, ...Artefact[]]
  /** The way taken, e.g. `inspector`, `v8-profiler-next`, `fork`, `heapdump`, `v8`, `sampling`. */
  readonly way: string
  readonly passedOver: readonly PassedOver[]
  /** Pause of the main thread for the dump, ms. */
  readonly pauseMs: number
  /** From the beginning of the capture to the last rename, ms. */
  readonly durationMs: number
  /**
   * Time until the main thread accepted the first order, ms, when that was longer than the order timeout: it was in one
   * long native call, or had no CPU.
   */
  readonly lateMs?: number
  /** Peak of the forked child's private memory, bytes: without the pages that it shares with the application. */
  readonly childPeakBytes?: number
  /** The failure, if the planned artefact failed and only a lesser one, taken before it, exists. */
  readonly failure?: Error
  /** The refusal, if the best artefact turned out not to fit during the capture and only a lesser one exists. */
  readonly refusal?: Refusal
}

/** A capture for which there is enough memory and disk. To make the plan, the main thread was asked once; `take` captures. */
export interface Plan {
  /** The refusal, if the best artefact does not fit and only a lesser one will be taken. */
  readonly refusal?: Refusal
  /**
   * Captures. A failure leaves no incomplete file.
   *
   * @param early - Aborted to end a CPU profile before its time, with a whole file.
   * @returns The result; a refusal when nothing turned out to fit, and then no file is left.
   * @throws When nothing could be captured: the file system's error, or the main thread's.
   */
  take(job: Job, early: AbortSignal): Promise<Captured | Refusal>
}

/**
 * Makes one kind of dump. The dispatcher, which decides whether to dump, sees only this interface, not the ways of
 * capturing and their threads. A capture that waits keeps no thread alive.
 */
export interface Capturer {
  /** Reads the free disk space and memory, and decides what fits now. */
  plan(directory: string): Promise<Plan | Refusal>
  /** Names of the ways of capturing that this machine has, best first, and of those that it lacks, with the reason. */
  ways(): { readonly available: readonly string[]; readonly passedOver: readonly PassedOver[] }
  /**
   * For a process that exits during `take`: ends that capture within the call, with a whole file, where this thread
   * can. The promise of `take` settles as well. Absent where a capture cannot be ended early.
   *
   * @param isTimeOver - When it returns `true`, the capture is left incomplete.
   * @returns `undefined` when there is nothing to end, or the time was over.
   * @throws The error that `take` would have rejected with.
   */
  endNow?(isTimeOver: () => boolean): Captured | undefined
}

/** Receives a capturer's progress, for log lines and events. Must not throw. */
export interface CaptureObserver {
  /** The main thread has not accepted an order within the order timeout. Called once per order; the wait goes on. */
  orderLate(order: string): void
  /** A forked child makes the dump, and finishes it even if this process ends; `undefined` when the child has ended. */
  childAtWork(pid: number | undefined): void
  /** Another user of V8's sampling heap profiler has stopped it, and it has been started again. Called once. */
  samplingWasStopped(): void
  /** The sampling heap profiler could not be started: memory dumps have no `.heapprofile`. */
  samplingFailed(error: Error): void
}

/** Thrown when an order cannot be given because the process exits. The dump is then skipped, and is not a failure. */
export class ExitingError extends Error {
  constructor() {
    super('the process is exiting')
  }
}
