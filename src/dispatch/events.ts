import type { PassedOver } from '../capture/capture'
import type { DumpKind, DumpRule } from '../files/names'

export type { DumpKind, DumpRule }

/**
 * Why a dump was not made: `limited` (the budget is spent), `busy` (another dump runs), `memory` or `disk` (it does not
 * fit), `stopped` (the monitor was stopped, or the process exits).
 */
export type SkipReason = 'limited' | 'busy' | 'memory' | 'disk' | 'stopped'

/** Payload of `'dump'`: evidence is on disk, whole. */
export interface Dump {
  readonly kind: DumpKind
  /** What asked for it: a threshold, a blocked event loop, a leak, or a person (`manual`: signal or API). */
  readonly rule: DumpRule
  /** Absolute path of the main artefact. */
  readonly file: string
  /** Absolute paths of all artefacts of this dump, the main one first. */
  readonly files: readonly string[]
  /** Size of the main artefact, bytes. */
  readonly sizeBytes: number
  /** The way it was captured, e.g. `inspector` or `heapdump`. */
  readonly way: string
  /** The better ways that were not taken, and why. */
  readonly passedOver: readonly PassedOver[]
  /** How long the main thread stood still for it, ms. */
  readonly pauseMs: number
  /** From the beginning of the capture to the last rename, ms. */
  readonly durationMs: number
  /** The most memory that a forked child had for it, bytes; what it shared with the application counted in. */
  readonly childPeakBytes?: number
  /**
   * How long the main thread took to accept the capture, ms. Only there when it was long: the thread sat in one native
   * call that V8 cannot interrupt.
   */
  readonly lateMs?: number
}

/** Payload of `'skip'`: a dump was asked for and not made. Once per reason and episode for thresholds. */
export interface Skip {
  readonly kind: DumpKind
  readonly rule: DumpRule
  readonly reason: SkipReason
  /** The numbers behind it, e.g. what is needed and what there is, bytes. */
  readonly numbers: Readonly<Record<string, number>>
}

/** Payload of `'failure'`: something of the monitor's own did not work. Monitoring goes on. */
export interface Failure {
  /** What was being done: `sampling`, `sampling profile`, `capture`, `retention`, `listener`, `watchdog`, `leak` or
   * `stop`. */
  readonly stage: string
  readonly kind?: DumpKind
  readonly message: string
  readonly error?: unknown
}

/** Payload of `'leak'`: the heap left over after full collections keeps growing. */
export interface Leak {
  readonly start: Date
  readonly end: Date
  /** Bytes. */
  readonly growth: number
  readonly reason: string
}

/** What `dumpCpu()` and `dumpMemory()` resolve to: the dump, or why there is none. */
export type DumpResult =
  Dump | { readonly skipped: SkipReason } | { readonly skipped: 'failed'; readonly message: string }

/** Whoever decides tells here what became of it; the composition root turns it into events and lines. */
export interface Report {
  dump(dump: Dump): void
  skip(skip: Skip): void
  failure(failure: Failure): void
  /** Something that the operator should read once. */
  notice(line: string): void
}
