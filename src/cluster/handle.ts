import type { EventEmitter } from 'node:events'
import type { CrashCause, DrainReason, RecycleReason } from './plan/events'
import type { SlotState } from './plan/slot'

/** Identifies the worker of an event. */
export interface WorkerIdentity {
  /** Key of the worker in `cluster.workers`; 0 for a worker that could not be started. */
  readonly id: number
  /** Process id; 0 for a worker that could not be started. */
  readonly pid: number
}

/** A worker and its resident set size in bytes. */
export interface WorkerMemory extends WorkerIdentity {
  readonly rss: number
}

/** Exit code or signal of a worker's process. Both are `null` if the process still runs or was never started. */
export interface WorkerEnd {
  readonly code: number | null
  readonly signal: string | null
}

/** Why a worker was lost. */
export interface WorkerLoss {
  readonly cause: CrashCause
  /** Time from when the worker was ready to its end, ms; 0 when it never was ready. */
  readonly uptime: number
  /**
   * With `'start-timeout'`: the addresses on which this worker should have listened, as its predecessor did, but did not.
   * Empty if the result of `runFunc` had not settled.
   */
  readonly missing: readonly string[]
}

/** Events of the primary's handle. An error that a listener throws is logged and affects nothing else. */
export interface ClusterEvents {
  /** A worker is ready and serves. */
  ready: [WorkerMemory]
  /**
   * A worker is above the limit. It waits for its replacement, unless it reached the limit as soon as it had started (see
   * `'limit-unreachable'`).
   */
  over: [WorkerMemory & { readonly limit: number }]
  /** The replacement of a worker begins: a new worker is forked, or, with `maxSurge: 0`, this worker drains first. */
  recycle: [WorkerMemory & { readonly reason: RecycleReason }]
  /**
   * A worker is about to drain: it will accept no more connections. Application code that hands sockets to workers
   * should skip this worker from now on, except for clients with a session there.
   */
  drain: [WorkerMemory & { readonly reason: DrainReason }]
  /** A replaced worker has ended. `ms`: time from the order to drain to the end; `rss`: bytes at the time of the order. */
  recycled: [WorkerMemory & WorkerEnd & { readonly reason: RecycleReason; readonly ms: number }]
  /** A worker was lost: it ended unexpectedly, could not be started, or lost its channel to the primary. */
  crash: [WorkerIdentity & WorkerEnd & WorkerLoss]
  /**
   * A worker ended before or soon after it was ready: the fork of its successor waits for `ms` milliseconds. `step`:
   * number of such waits in a row.
   */
  backoff: [{ readonly ms: number; readonly step: number }]
  /**
   * A worker was above the limit within `minLifetime` after it was ready: the next replacement waits for `ms`
   * milliseconds. `lifetime`: time from ready to above the limit, ms.
   */
  thrash: [WorkerIdentity & { readonly lifetime: number; readonly ms: number }]
  /**
   * A worker reached the limit as soon as it had started. Its replacement would too, so this limit does not cause one.
   * Emitted only once, for the first such worker.
   */
  'limit-unreachable': [WorkerMemory & { readonly limit: number }]
}

/** State of one worker, as the primary knows it. */
export interface WorkerStats extends WorkerMemory {
  readonly state: SlotState
  /** Whether the worker is above the limit, or drains because it was. */
  readonly over: boolean
  /** Time since the fork, ms. */
  readonly age: number
}

/** State of the cluster now, and counts since the start. */
export interface ClusterStats {
  /** Wanted number of workers. */
  readonly count: number
  readonly workers: readonly WorkerStats[]
  readonly forks: number
  readonly recycled: number
  readonly crashes: number
}

/**
 * Handle of the cluster, returned by `run`. In a worker it is inert, so that the same code can run in primary and worker:
 * it emits nothing, `stats()` is empty and `stop()` does nothing.
 */
export interface Cluster extends EventEmitter<ClusterEvents> {
  stats(): ClusterStats
  /** Drains all workers and resolves when the last one has ended. Idempotent; does not end the primary. */
  stop(): Promise<void>
}
