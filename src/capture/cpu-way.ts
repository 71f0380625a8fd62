import type { OpenArtefact } from '../files/open-artefact'
import type { Steps } from '../files/step'

/** Time between two samples of a CPU profile, µs, while that keeps the profile below {@link MAX_SAMPLES}. */
export const SAMPLING_INTERVAL_US = 1000
/** Most samples that a profile may hold: about 1.5 MB of JSON besides the call tree. A longer one samples less often. */
export const MAX_SAMPLES = 120_000

/** A CPU profile to be taken. */
export interface CpuProfileRequest {
  /** Tells this profile from others in the process. */
  readonly title: string
  readonly samplingIntervalUs: number
  /** Aborted when nobody needs the profile any more: a main thread that has not accepted it by then is not waited for. */
  readonly early: AbortSignal
}

/** A CPU profile that the main thread is recording. */
export interface RunningProfile {
  /** How long the main thread stood still to start, ms. */
  readonly startPauseMs: number
  /** How long it took to accept the first order, ms. */
  readonly acceptedAfterMs: number
  /**
   * Ends the profile and writes it. Either succeeds or throws, the profiler is off afterwards. Without an event loop it
   * succeeds only on the thread that is profiled.
   */
  stop(open: OpenArtefact): Steps<{ readonly stopPauseMs: number }>
}

/** One way to take a CPU profile. */
export interface CpuWay {
  /** As it stands in the `.json` and in the start line. */
  readonly name: string
  start(request: CpuProfileRequest): Promise<RunningProfile>
}

/** The sampling interval for a profile of that length, µs. */
export function samplingIntervalUs(durationMs: number): number {
  return Math.max(SAMPLING_INTERVAL_US, Math.ceil((durationMs * 1000) / MAX_SAMPLES))
}
