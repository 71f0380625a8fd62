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

/** Why and how soon a worker was lost. */
export interface WorkerLoss {
  /**
   * `'exit'`: its process ended, and it had no order to drain; a worker above `hardLimit` that hangs may have got SIGKILL (see
   * `'recycle'`). `'disconnect'`: its channel to the primary closed. `'start-timeout'`: it was not ready in
   * time. `'run-not-called'`: it was not ready in time and had not called `run`. `'fork-failed'`: it could not be started.
   */
  readonly cause: CrashCause
  /** Time from when the worker was ready to its end, ms; 0 when it never was ready. */
  readonly uptime: number
  /**
   * With `'start-timeout'`: the addresses on which this worker should have listened, as its predecessor did, but did not.
   * Empty if the result of `runFunc` had not settled, and with any other cause.
   */
  readonly missing: readonly string[]
}

/** Events of the primary's handle. An error that a listener throws is logged and affects nothing else. */
export interface ClusterEvents {
  /** A worker is ready: its `runFunc` has settled, and it serves. */
  ready: [WorkerMemory]
  /**
   * A worker is above the limit. It waits for its replacement, unless it reached the limit as soon as it had started (see
   * `'limit-unreachable'`).
   */
  over: [WorkerMemory & { readonly limit: number }]
  /**
   * The replacement of a worker begins: a new worker is forked, or, with `maxSurge: 0`, this worker drains first. If another
   * worker is missing, a worker above `hardLimit` that hangs gets SIGKILL instead.
   */
  recycle: [WorkerMemory & { readonly reason: RecycleReason }]
  /**
   * A worker is about to drain: it will accept no more connections. Application code that hands sockets to workers
   * should skip this worker from now on, except for clients with a session there.
   */
  drain: [WorkerMemory & { readonly reason: DrainReason }]
  /** A replaced worker has ended. `ms`: time from the order to drain to the end; `rss`: bytes at the time of the order. */
  recycled: [WorkerMemory & WorkerEnd & { readonly reason: RecycleReason; readonly ms: number }]
  /**
   * A worker was lost: it ended unexpectedly, was not ready in time, could not be started, or lost its channel to the
   * primary.
   */
  crash: [WorkerIdentity & WorkerEnd & WorkerLoss]
  /**
   * A worker was lost before it was ready or within `minUptime` after it: the fork of its successor waits for at most `ms`
   * milliseconds, less if another worker becomes ready. `step`: number of such waits in a row, from 1.
   */
  backoff: [{ readonly ms: number; readonly step: number }]
  /**
   * A worker was above the limit within `minLifetime` after it was ready: the next replacement of a worker above the limit
   * waits for `ms` milliseconds (unless that worker is above `hardLimit`). `lifetime`: time from ready to above the limit, ms.
   */
  thrash: [WorkerIdentity & { readonly lifetime: number; readonly ms: number }]
  /**
   * A worker reached the limit as soon as it had started. A replacement would reach it too, so such a worker is not replaced
   * for this limit. Emitted only once, for the first such worker.
   */
  'limit-unreachable': [WorkerMemory & { readonly limit: number }]
}

/** State of one worker, as the primary knows it. */
export interface WorkerStats extends WorkerMemory {
  readonly state: SlotState
  /** Whether the worker is above the limit, or drains because it was. */
  readonly over: boolean
  /** Time since the worker was forked, ms. */
  readonly age: number
}

/** State of the cluster's workers now, and numbers of workers since the cluster's start. */
export interface ClusterStats {
  /** Wanted number of workers. */
  readonly count: number
  readonly workers: readonly WorkerStats[]
  /** Number of workers forked, those that could not be started included. */
  readonly forks: number
  /** Number of replaced workers that have ended. */
  readonly recycled: number
  /** Number of lost workers, as the event `'crash'` reports them. */
  readonly crashes: number
}

/**
 * Handle of the cluster, returned by `run`. In a worker it emits no events, `stats()` lists no workers, and `stop()` does
 * nothing, so that the same code can run in primary and worker.
 */
export interface Cluster extends EventEmitter<ClusterEvents> {
  stats(): ClusterStats
  /** Drains all workers and resolves when the last one has ended. Idempotent; does not end the primary. */
  stop(): Promise<void>
}
