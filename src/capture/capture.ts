import type { Artefact, Sidecar } from '../files/sidecar'

/** Why one way of capturing was not the one taken. */
export interface PassedOver {
  readonly way: string
  readonly why: string
}

/** Says, when all ways were passed over, why there is no evidence. */
export function whyNone(passedOver: readonly PassedOver[]): string {
  return passedOver.map(({ way, why }) => `${way}: ${why}`).join('; ')
}

/** A dump that is not made, and the numbers that forbid it. */
export interface Refusal {
  readonly skip: 'memory' | 'disk'
  /** What is needed, what there is, what is kept in reserve: bytes, by name. */
  readonly numbers: Readonly<Record<string, number>>
}

/** What the dispatcher wants captured, where, and what the evidence must say about itself. */
export interface Job {
  readonly directory: string
  /** Name without extension, as `core/names` builds it. */
  readonly baseName: string
  /** The part of the sidecar that the dispatcher knows: why and where. */
  readonly sidecar: Pick<Sidecar, 'why' | 'where'>
  /** Length of a CPU profile, ms. Heap captures ignore it. */
  readonly durationMs: number
}

/** What was captured: one or two whole files, and what it took. */
export interface Captured {
  /** The main artefact first. Each is whole, synced and under its final name. */
  readonly artefacts: readonly [Artefact, ...Artefact[]]
  /** The way taken, e.g. `inspector`, `v8-profiler-next`, `fork`, `heapdump`, `v8`, `sampling`. */
  readonly way: string
  readonly passedOver: readonly PassedOver[]
  /** How long the main thread stood still for it, ms. */
  readonly pauseMs: number
  /** From the beginning of the capture to the last rename, ms. */
  readonly durationMs: number
  /**
   * How long the main thread took to accept the first order, ms, when that was longer than the order timeout: it sat in
   * one long native call, or had no CPU.
   */
  readonly lateMs?: number
  /** The most memory that the forked child had, bytes; what it shared with the application counted in. */
  readonly childPeakBytes?: number
  /** Set when the planned artefact failed and only a lesser one, taken before it, is there: evidence and a failure. */
  readonly failure?: Error
  /** Set when it turned out on the way that the best artefact did not fit, and only a lesser one is there. */
  readonly refusal?: Refusal
}

/** A capture that fits: it costs nothing until `take` is called. */
export interface Plan {
  /** Set when the best artefact has to be given up and only a lesser one will be taken. */
  readonly refusal?: Refusal
  /**
   * Captures. What fails leaves no half file.
   *
   * @param early - Aborted to end a CPU profile before its time, with a whole file.
   * @returns What was captured; a refusal when it turned out on the way that nothing fits, and nothing is left.
   * @throws When nothing could be captured: the file system's error, or the main thread's.
   */
  take(job: Job, early: AbortSignal): Promise<Captured | Refusal>
}

/**
 * HOW to dump one kind of evidence. The dispatcher sees only this: which ways exist, which thread they need and in
 * which order they are tried stays behind it. Nothing that a capture waits for keeps its thread alive.
 */
export interface Capturer {
  /** Looks at disk and memory, and says what fits now. */
  plan(directory: string): Promise<Plan | Refusal>
  /** Names of the ways that could be taken on this machine, best first, and those that could not, with the reason. */
  ways(): { readonly available: readonly string[]; readonly passedOver: readonly PassedOver[] }
  /**
   * For a process that exits in the middle of `take`: ends that capture within the call, with a whole file, where this thread
   * can. What `take` returned settles as well. Absent where a capture cannot be ended before its time.
   *
   * @param isTimeOver - When it is, the capture is left where it stands.
   * @returns `undefined` when there is nothing to end, or the time was over.
   * @throws What `take` would have rejected with.
   */
  endNow?(isTimeOver: () => boolean): Captured | undefined
  /** Undoes what it keeps between dumps (sessions, handlers, loaded samplers). Idempotent. */
  close(): Promise<void>
}

/** What a capturer has to say while it works; the dispatcher turns it into log lines and events. Must not throw. */
export interface CaptureObserver {
  /** The main thread has not accepted an order within the order timeout. Said once per order, while still waiting. */
  orderLate(order: string): void
  /** The dump is in the hands of a forked child, which finishes it whatever becomes of this process; `undefined`: no more. */
  childAtWork(pid: number | undefined): void
  /** Our sampling heap profiler was stopped by another user of it and has been started again. Said once. */
  samplingWasStopped(): void
  /** The sampling heap profiler could not be started: memory dumps go without a `.heapprofile`. */
  samplingFailed(error: Error): void
}
