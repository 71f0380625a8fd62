import type { MarkedFile } from '../../files/partial'

/** Time between two samples of a CPU profile, µs, if that keeps the profile below {@link MAX_SAMPLES}. */
export const SAMPLING_INTERVAL_US = 1000
/** Number of samples in a profile, at most, about 1.5 MB of JSON: longer profiles sample less often. */
export const MAX_SAMPLES = 120_000

/** The order for a CPU profile. */
export interface CpuProfileRequest {
  /** Identifies this profile among others in the process. */
  readonly title: string
  readonly samplingIntervalUs: number
  /** Aborted when the profile is no longer wanted: a start that the main thread has not accepted is then given up. */
  readonly early: AbortSignal
}

/** A CPU profile that the main thread has stopped recording. */
export interface StoppedProfile {
  /** Pause of the main thread for the stop, ms. */
  readonly stopPauseMs: number
  /** Time in which the thread was not idle, ms. Absent where this is not known. */
  readonly busyMs?: number
  /** The profile's text that is still to be written, in pieces. Empty when the main thread wrote it to the target. */
  readonly pieces: Iterable<string>
  /** Bytes that the main thread wrote to the target; absent when it wrote none. */
  readonly writtenBytes?: number
}

/** A CPU profile that the main thread is recording. */
export interface RunningProfile {
  /** Pause of the main thread for the start, ms. */
  readonly startPauseMs: number
  /** Time until the main thread accepted the first order, ms. */
  readonly acceptedAfterMs: number
  /**
   * Makes V8 discard its optimized code, so that a loop that was optimized before the profile began appears by name.
   *
   * @returns Pause of the main thread for it, ms.
   */
  forgetOptimizedCode(): Promise<number>
  /** Ends the profile. Whether it succeeds or fails, the profiler is off afterwards. */
  stop(target: MarkedFile): Promise<StoppedProfile>
  /** {@link stop} within the call. Absent unless the calling thread is the profiled one. */
  readonly stopNow?: ((target: MarkedFile) => StoppedProfile) | undefined
}

/** One way to take a CPU profile. */
export interface CpuWay {
  /** Name in a dump's `.json` and in the log line at start. */
  readonly name: string
  start(request: CpuProfileRequest): Promise<RunningProfile>
}

/** The sampling interval for a profile of this length, µs. */
export function samplingIntervalUs(durationMs: number): number {
  return Math.max(SAMPLING_INTERVAL_US, Math.ceil((durationMs * 1000) / MAX_SAMPLES))
}
