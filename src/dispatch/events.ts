import type { PassedOver } from '../capture/capture'
import type { GrowingSite } from '../capture/heap/allocation-sites'
import type { DumpKind, DumpRule } from '../files/names'
import type { Sidecar } from '../files/sidecar'
import type { Makeup } from '../makeup/makeup'
import type { Flight } from '../makeup/recorder'

export type { DumpKind, DumpRule }

/**
 * Why a dump was not made: `limited` (the budget is spent), `fleet` (the budget of the option `fleet` is spent), `busy`
 * (another dump runs in this process, or a heap snapshot has waited two minutes for those of other processes under the
 * same memory limit), `memory` or `disk` (it does not fit), `stopped` (the monitor was stopped, or the process exits).
 */
export type SkipReason = 'limited' | 'fleet' | 'busy' | 'memory' | 'disk' | 'stopped'

/** Payload of `'dump'`: the files of a dump are complete and on disk. */
export interface Dump {
  readonly kind: DumpKind
  /**
   * Cause of the dump: `threshold` (of `cpu` or `memory`), the name of a rule of `rules`, a blocked event loop, a leak,
   * V8's heap limit, or `manual` (a signal or an API call).
   */
  readonly rule: DumpRule
  /**
   * Absolute path of the main file: that of the thread with most CPU or memory use. Of the files of one thread, it is the CPU
   * profile or the heap snapshot, else the sampling heap profile.
   */
  readonly file: string
  /** Absolute paths of all files of this dump except their `.json` sidecars, the main file first. */
  readonly files: readonly string[]
  /** Size of the main file, bytes. */
  readonly sizeBytes: number
  /**
   * The method of capture, e.g. `inspector` or `heapdump`: that of the main thread's files if the dump has any. The sidecar (`.json`)
   * of each file names its own.
   */
  readonly way: string
  /** The better methods that were not used, and why. */
  readonly passedOver: readonly PassedOver[]
  /** CPU use by thread, and memory by owner. Absent for a dump at V8's heap limit. */
  readonly makeup?: Makeup
  /** Pause of the main thread for the dump, ms. */
  readonly pauseMs: number
  /** Time from the beginning of the capture until all files are complete under their final names, ms. */
  readonly durationMs: number
  /** Peak private memory of the forked child, bytes. Pages that the child shares with the application do not count. */
  readonly childPeakBytes?: number
  /**
   * Time until the main thread accepted the capture, ms. Present only when it was long: the thread was in one native
   * call that V8 cannot interrupt, or had no CPU.
   */
  readonly lateMs?: number
  /** `true`: an earlier process made the dump at V8's heap limit, and this process reports it. Absent for all other dumps. */
  readonly earlier?: true
}

/**
 * Payload of `'skip'`: a dump was requested and not made. For a rule, each reason is reported once per episode (time above
 * the threshold).
 */
export interface Skip {
  readonly kind: DumpKind
  readonly rule: DumpRule
  readonly reason: SkipReason
  /** The numbers behind the reason, e.g. needed and available bytes. */
  readonly numbers: Readonly<Record<string, number>>
  /** Memory by owner, for a dump skipped for lack of memory (reason `memory`). */
  readonly makeup?: Makeup
}

/** Payload of `'failure'`: a part of the monitor failed. Monitoring goes on. */
export interface Failure {
  /**
   * The part that failed: `start`, `sampling`, `sampling profile`, `capture`, `heap limit`, `retention`, `listener`,
   * `onDump`, `watchdog`, `leak`, `fleet`, `upload` (of `cpu-memory-monitor/s3`) or `stop`.
   */
  readonly stage: string
  readonly kind?: DumpKind
  /** Name of the rule, if it is one of `rules`. */
  readonly rule?: string
  readonly message: string
  readonly error?: unknown
}

/** Payload of `'leak'`: the heap that remains after full garbage collections keeps growing. */
export interface Leak {
  /** Time at which the growth began. */
  readonly start: Date
  /** Time of the last reading that showed the growth. */
  readonly end: Date
  /** Growth of the heap from `start` to `end`, bytes. */
  readonly growth: number
  /** Why a leak is suspected, in words: growth, time, growth per hour, the readings, and what confirms the leak. */
  readonly reason: string
  /**
   * Functions whose allocations take more heap than before, with that growth in bytes (estimated from samples): at most
   * five, the largest first. Empty when allocations are not sampled (`memory.sampling: false`, or a Node without inspector),
   * and when other code has stopped V8's sampling profiler since the functions were last read.
   */
  readonly sites: readonly GrowingSite[]
}

/** Result of `dumpCpu()` and `dumpMemory()`: the dump, or why there is none. */
export type DumpResult =
  Dump | { readonly skipped: SkipReason } | { readonly skipped: 'failed'; readonly message: string }

/** Payload of `'reading'`: a value that a rule compares with its threshold. */
export interface Reading {
  /** `cpu`, `memory`, or the name of a rule of `rules`. */
  readonly rule: string
  /** Percent of one core for `cpu`, bytes of resident memory for `memory`, for a rule of `rules` in the unit of its metric. */
  readonly value: number
  /** Threshold of the rule, in the unit of `value`. */
  readonly threshold: number
  /** Time of the reading, ms since 1970. */
  readonly atEpochMs: number
}

/** Receives the outcomes of requests and the failures of the monitor, and turns them into events and log lines. */
export interface Report {
  dump(dump: Dump): void
  skip(skip: Skip): void
  failure(failure: Failure): void
  /** Logs a warning for the operator about something that is neither a dump, a skipped dump nor a failure. */
  notice(line: string): void
  /** Reports a reading. Called only while the event `'reading'` has a subscriber. */
  reading?(reading: Reading): void
  /** Whether the event `'reading'` has a subscriber. Absent on a thread that cannot see the subscribers. */
  wantsReadings?(): boolean
}

/** A request for a dump. */
export interface DumpRequest {
  readonly kind: DumpKind
  readonly rule: DumpRule
  /** Names and numbers that say why the dump was requested, such as threshold and reading. For the sidecar (`.json`). */
  readonly details: Readonly<Record<string, unknown>>
  /** The readings that led to the request. @default the latest readings of the rule */
  readonly readings?: Sidecar['why']['readings'] | undefined
  /** Monotonic time at which the cause began, ms. The sidecar gives CPU use since then. */
  readonly sinceMs?: number | undefined
  /** Length of a CPU profile, ms. */
  readonly durationMs?: number | undefined
  /** When aborted, a CPU profile ends before its time; its file is complete. */
  readonly early?: AbortSignal | undefined
}

/** Description of the process at the time of a dump: CPU use by thread, memory by owner, and readings of the last minutes. */
export interface Picture {
  readonly makeup: Makeup
  readonly flight?: Flight | undefined
}

/** The one dump that is being made. */
export interface RunningDump {
  readonly request: DumpRequest
  readonly early: AbortController
  /** Promise of the result; set right after the dump has begun. */
  done: Promise<DumpResult> | undefined
  /** CPU use by thread and memory by owner, once they have been read. */
  picture: Picture | undefined
  /** Gives the token back to the budget of the fleet; set once a token was taken. */
  giveBack: (() => void) | undefined
  /** The outcome that was reported. At exit `endNow` sets it before the capture has ended. */
  reported: DumpResult | undefined
}

/** A manual dump that waits until it can begin. */
export interface WaitingRequest {
  readonly request: DumpRequest
  readonly result: Promise<DumpResult>
  readonly settle: (result: DumpResult) => void
}
