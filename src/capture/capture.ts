import type { Artefact, EvidentThread, KnownBefore } from '../files/sidecar'

/** A method of making a dump, such as `fork` or `heapdump`, that was not used, and the reason. */
export interface PassedOver {
  readonly way: string
  readonly why: string
}

/** Returns the message of the error for a dump that no method can make: each method, with the reason. */
export function whyNone(passedOver: readonly PassedOver[]): string {
  return passedOver.map(({ way, why }) => `${way}: ${why}`).join('; ')
}

/**
 * Why a dump is not made, with the numbers that decided it. `memory`, `disk`: too little of it is available. `busy`: other
 * processes under the same memory limit took heap snapshots, for longer than this process may wait for its turn.
 */
export interface Refusal {
  readonly skip: 'memory' | 'disk' | 'busy'
  /** Bytes needed, available and reserved, by name. `worker`: `threadId` of the worker thread whose snapshot does not fit. */
  readonly numbers: Readonly<Record<string, number>>
}

/** A dump to capture: the directory and the name of its files, and the known part of the sidecar (`.json`) of each. */
export interface Job {
  readonly directory: string
  /** Name of the dump's files without extension, such as `cpu-<pid>-<ms>`. */
  readonly baseName: string
  /** Fields of the sidecar known before the capture: why and where the dump is made, and readings of CPU and memory before it. */
  readonly sidecar: KnownBefore
  /** Length of a CPU profile, ms. Heap captures ignore it. */
  readonly durationMs: number
  /** For a memory dump: the worker thread that holds the largest part of the process's memory. Absent when no worker does. */
  readonly worker?: WorkerToDump | undefined
}

export type WorkerToDump = Pick<EvidentThread, 'id' | 'name'>

/** The result of a capture: complete files, how they were made, and how long the application was paused. */
export interface Captured {
  /** Complete, synced files of the dump, under their final names. First is that of the thread with most CPU or memory use. */
  readonly artefacts: readonly [Artefact, ...Artefact[]]
  /** How the dump was captured, e.g. `inspector`, `v8-profiler-next`, `fork`, `heapdump`, `v8`, `sampling`. */
  readonly way: string
  readonly passedOver: readonly PassedOver[]
  /** Pause of the main thread for the dump, ms. */
  readonly pauseMs: number
  /** Time from the start of the capture until the last file had its final name, ms. */
  readonly durationMs: number
  /**
   * Time until the main thread accepted the first request of the dump, ms. Present only above 500 ms: the main thread was
   * in one long native call, or had no CPU.
   */
  readonly lateMs?: number
  /** Peak of the forked child's private memory, bytes. Pages that it shares with the application do not count. */
  readonly childPeakBytes?: number
  /** Why one of the planned files could not be written, such as the profile of a worker, although the dump has others. */
  readonly failure?: Error
  /** Why a planned snapshot did not fit into memory or onto the disk during the capture, although the dump has other files. */
  readonly refusal?: Refusal
}

/** A capture for which there is enough memory and disk space. Nothing is captured before `take` is called. */
export interface Plan {
  /** Why the best file (a heap snapshot) does not fit, if only a lesser one (a sampling profile) will be captured. */
  readonly refusal?: Refusal
  /**
   * Captures the dump. A failure leaves no incomplete file.
   *
   * @param early - Aborted to end the capture before its time. The file of a CPU profile is complete all the same; the capture
   * of a worker's heap is given up.
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
  /** Creates the directory if needed, reads the free disk space (and memory, for a memory dump), and decides what fits now. */
  plan(directory: string): Promise<Plan | Refusal>
  /** Names of the methods of making a dump that work in this process, best first, and of the others, with the reason. */
  ways(): { readonly available: readonly string[]; readonly passedOver: readonly PassedOver[] }
  /**
   * Ends a running `take` synchronously, because the process exits. Completes the file of a CPU profile, if the calling thread
   * can do so. For a memory dump, returns the files that are complete already. Absent where a capture cannot be ended early.
   *
   * @param isTimeOver - Returns `true` when the exit can wait no longer; the file is then left incomplete.
   * @returns The complete files; `undefined` when no capture runs, or when none of its files is complete.
   * @throws The error that `take` would have rejected with.
   */
  endNow?(isTimeOver: () => boolean): Captured | undefined
}

/** Receives a capturer's progress, for log lines and events. Must not throw. */
export interface CaptureObserver {
  /** The main thread has not accepted an order (request) within 500 ms. Called at most once per order; the wait goes on. */
  orderLate(order: string): void
  /** Called with the pid when a forked child begins to write the dump, and with `undefined` when that child has ended. */
  childAtWork(pid: number | undefined): void
  /** Other code in the process stopped V8's sampling heap profiler; this library has started it again. Called the first time. */
  samplingWasStopped(): void
  /** The sampling heap profiler could not be started: memory dumps have no `.heapprofile`. */
  samplingFailed(error: Error): void
}

/** Thrown when the main thread can be sent no more orders (requests) because the process exits. The dump counts as skipped. */
export class ExitingError extends Error {
  constructor() {
    super('the process is exiting')
  }
}
