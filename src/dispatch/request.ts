import type { Sidecar } from '../files/sidecar'
import type { Makeup } from '../makeup/makeup'
import type { Flight } from '../makeup/recorder'
import type { DumpKind, DumpResult, DumpRule } from './events'

/** A request for a dump. */
export interface DumpRequest {
  readonly kind: DumpKind
  readonly rule: DumpRule
  /** Why the dump was requested, in names and numbers, for the sidecar. */
  readonly details: Readonly<Record<string, unknown>>
  /** The readings that led to the request, where these are not the latest readings of the kind. */
  readonly readings?: Sidecar['why']['readings'] | undefined
  /** Monotonic time at which the reason began, ms: from there on CPU use counts. */
  readonly sinceMs?: number | undefined
  /** Length of a CPU profile, ms. */
  readonly durationMs?: number | undefined
  /** Ends a CPU profile before its time, with a whole file. */
  readonly early?: AbortSignal | undefined
}

/** Whose CPU and memory, and the last minutes. */
export interface Picture {
  readonly makeup: Makeup
  readonly flight?: Flight | undefined
}

/** The one dump that is being made. */
export interface RunningDump {
  readonly request: DumpRequest
  readonly early: AbortController
  /** Set when the dump has begun. */
  done: Promise<DumpResult> | undefined
  /** Whose CPU and memory it was, once that is known. */
  picture: Picture | undefined
  /** Gives its token back to the fleet. Present once one is taken. */
  giveBack: (() => void) | undefined
  /** The reported outcome. Set early by `endNow` when the process exits. */
  reported: DumpResult | undefined
}

/** A dump by hand that waits for its turn. */
export interface WaitingRequest {
  readonly request: DumpRequest
  readonly result: Promise<DumpResult>
  readonly settle: (result: DumpResult) => void
}
