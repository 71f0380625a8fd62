import type { MarkedFile } from '../../files/partial'

/** Time between two samples of a CPU profile, µs, while that keeps the profile below {@link MAX_SAMPLES}. */
export const SAMPLING_INTERVAL_US = 1000
/** Most samples that a profile may hold: about 1.5 MB of JSON besides the call tree. A longer one samples less often. */
export const MAX_SAMPLES = 120_000

/** A CPU profile to be taken. */
export interface CpuProfileRequest {
  /** Identifies this profile among others in the process. */
  readonly title: string
  readonly samplingIntervalUs: number
  /** Aborted when the profile is no longer wanted: a main thread that has not accepted it by then is not waited for. */
  readonly early: AbortSignal
}

/** A CPU profile that the main thread has stopped recording. */
export interface StoppedProfile {
  /** How long the main thread stood still to stop, ms. */
  readonly stopPauseMs: number
  /** The profile's text that is still to be written, in pieces. Empty when the main thread wrote it to the target. */
  readonly pieces: Iterable<string>
  /** Bytes that the main thread wrote to the target; absent when it wrote none. */
  readonly writtenBytes?: number
}

/** A CPU profile that the main thread is recording. */
export interface RunningProfile {
  /** How long the main thread stood still to start, ms. */
  readonly startPauseMs: number
  /** How long it took to accept the first order, ms. */
  readonly acceptedAfterMs: number
  /** Ends the profile. Whether it succeeds or fails, the profiler is off afterwards. */
  stop(target: MarkedFile): Promise<StoppedProfile>
  /** {@link stop} within the call. Only there on the thread that is profiled. */
  readonly stopNow?: ((target: MarkedFile) => StoppedProfile) | undefined
}

/** One way to take a CPU profile. */
export interface CpuWay {
  /** Name in the `.json` and in the start line. */
  readonly name: string
  start(request: CpuProfileRequest): Promise<RunningProfile>
}

/** The sampling interval for a profile of that length, µs. */
export function samplingIntervalUs(durationMs: number): number {
  return Math.max(SAMPLING_INTERVAL_US, Math.ceil((durationMs * 1000) / MAX_SAMPLES))
}
