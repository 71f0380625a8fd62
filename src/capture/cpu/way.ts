import type { MarkedFile } from '../../files/disk'

/** Time between two samples of a CPU profile, µs. Longer if a profile would exceed {@link MAX_SAMPLES}. */
export const SAMPLING_INTERVAL_US = 1000
/** Number of samples in a CPU profile, at most: about 1.5 MB of JSON. Longer profiles sample less often. */
export const MAX_SAMPLES = 120_000

/** A request for a CPU profile. */
export interface CpuProfileRequest {
  /** Identifies this profile among others in the process. */
  readonly title: string
  readonly samplingIntervalUs: number
  /**
   * Aborted when the dump is to end early. If the main thread does not answer within 500 ms after that, the start is given up.
   */
  readonly early: AbortSignal
}

/** A CPU profile that the main thread has stopped recording. */
export interface StoppedProfile {
  /** Pause of the main thread for the stop, ms. */
  readonly stopPauseMs: number
  /** Time in which the main thread was not idle, ms. Absent where it is not known. */
  readonly busyMs?: number
  /** JSON text of the profile, in pieces, for the caller to write. Empty if the main thread has written the file itself. */
  readonly pieces: Iterable<string>
  /** Number of bytes that the main thread wrote to the file; absent when it wrote none. */
  readonly writtenBytes?: number
}

/** A CPU profile that the main thread is recording. */
export interface RunningProfile {
  /** Pause of the main thread for the start, ms. */
  readonly startPauseMs: number
  /** Time from the request to start the profile until the main thread accepted it, ms. */
  readonly acceptedAfterMs: number
  /**
   * Makes V8 discard its optimized code, so that a loop that was optimized before the profile began appears by name.
   *
   * @returns Pause of the main thread for it, ms.
   */
  forgetOptimizedCode(): Promise<number>
  /**
   * Ends the profile. The profiler is off afterwards, even if this fails.
   *
   * @param target - The dump's file. The package writes the profile to it; the inspector returns the profile and ignores
   * `target`.
   */
  stop(target: MarkedFile): Promise<StoppedProfile>
  /** Ends the profile synchronously, for a process that exits. Absent unless the calling thread is the profiled main thread. */
  readonly stopNow?: ((target: MarkedFile) => StoppedProfile) | undefined
}

/** One way to take a CPU profile: the package v8-profiler-next, or the inspector. */
export interface CpuWay {
  /** Name of this method in a dump's `.json` and in the log line at start. */
  readonly name: string
  start(request: CpuProfileRequest): Promise<RunningProfile>
}

/** Returns the sampling interval for a CPU profile of this length, µs. */
export function samplingIntervalUs(durationMs: number): number {
  return Math.max(SAMPLING_INTERVAL_US, Math.ceil((durationMs * 1000) / MAX_SAMPLES))
}
