import type { PassedOver } from '../capture/capture'
import type { GrowingSite } from '../capture/heap/allocation-sites'
import type { DumpKind, DumpRule } from '../files/names'
import type { Makeup } from '../makeup/makeup'

export type { DumpKind, DumpRule }

/**
 * Why a dump was not made: `limited` (the budget is spent), `busy` (another dump runs, in this process or, for two minutes,
 * in others under the same memory limit), `memory` or `disk` (it does not fit), `stopped` (the monitor was stopped, or the
 * process exits).
 */
export type SkipReason = 'limited' | 'busy' | 'memory' | 'disk' | 'stopped'

/** Payload of `'dump'`: evidence is on disk, whole. */
export interface Dump {
  readonly kind: DumpKind
  /**
   * What asked for it: `threshold` (of `cpu` or `memory`), the name of a rule of `rules`, a blocked event loop, a leak, V8's heap
   * limit, or a person (`manual`: signal or API).
   */
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
  /** Whose CPU and whose memory it was. Absent for a dump that an earlier process left. */
  readonly makeup?: Makeup
  /** How long the main thread stood still for it, ms. */
  readonly pauseMs: number
  /** From the beginning of the capture to the last rename, ms. */
  readonly durationMs: number
  /** Peak of the forked child's private memory, bytes: without the pages that it shares with the application. */
  readonly childPeakBytes?: number
  /**
   * How long the main thread took to accept the capture, ms. Only there when it was long: the thread sat in one native
   * call that V8 cannot interrupt.
   */
  readonly lateMs?: number
  /** The dump is of an earlier process, which reached V8's heap limit. It was found in the directory at the start. */
  readonly earlier?: true
}

/** Payload of `'skip'`: a dump was asked for and not made. Once per reason and episode for thresholds. */
export interface Skip {
  readonly kind: DumpKind
  readonly rule: DumpRule
  readonly reason: SkipReason
  /** The numbers behind it, e.g. what is needed and what there is, bytes. */
  readonly numbers: Readonly<Record<string, number>>
  /** Whose memory it was, with the reason `memory`. */
  readonly makeup?: Makeup
}

/** Payload of `'failure'`: something of the monitor's own did not work. Monitoring goes on. */
export interface Failure {
  /** What was being done: `sampling`, `sampling profile`, `capture`, `retention`, `listener`, `onDump`, `watchdog`, `leak`,
   * `upload` (of `cpu-memory-monitor/s3`) or `stop`. */
  readonly stage: string
  readonly kind?: DumpKind
  /** Name of the rule, of those in `rules`. */
  readonly rule?: string
  readonly message: string
  readonly error?: unknown
}

/** Payload of `'leak'`: the heap left over after full collections keeps growing. */
export interface Leak {
  /** When the climb of the heap began. */
  readonly start: Date
  /** When its last floor was read. */
  readonly end: Date
  /** Heap gained from start to end, bytes. */
  readonly growth: number
  /** Growth, time, projection per hour, the floors, and what confirms the leak, in words. */
  readonly reason: string
  /**
   * The functions that hold more than before, with their growth in bytes (estimated from samples), at most five, the largest
   * first. Empty when allocations are not sampled (`memory.sampling: false`, or a Node without inspector).
   */
  readonly sites: readonly GrowingSite[]
}

/** What `dumpCpu()` and `dumpMemory()` resolve to: the dump, or why there is none. */
export type DumpResult =
  Dump | { readonly skipped: SkipReason } | { readonly skipped: 'failed'; readonly message: string }

/** Payload of `'reading'`: what a rule compares with its threshold. */
export interface Reading {
  /** `cpu` or `memory`. */
  readonly rule: string
  /** Percent of one core for `cpu`, bytes of resident memory for `memory`. */
  readonly value: number
  /** In the unit of the value. */
  readonly threshold: number
  /** When it was read, ms since 1970. */
  readonly atEpochMs: number
}

/** Receives the outcome of each decision; the composition root turns it into events and lines. */
export interface Report {
  dump(dump: Dump): void
  skip(skip: Skip): void
  failure(failure: Failure): void
  /** Something that the operator should read once. */
  notice(line: string): void
  /** Called only while readings have a subscriber. */
  reading?(reading: Reading): void
  /** Whether they have one, where that can be seen from the calling thread. */
  wantsReadings?(): boolean
}
