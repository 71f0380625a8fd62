import type { EventEmitter } from 'node:events'
import type { CrashCause, DrainReason, RecycleReason } from './plan/events'
import type { SlotState } from './plan/slot'

/** The worker of an event. */
export interface WorkerIdentity {
  /** Key in `cluster.workers`; 0 for a worker that could not be started. */
  readonly id: number
  /** Process id; 0 for a worker that could not be started. */
  readonly pid: number
}

/** A worker and its resident set size in bytes. */
export interface WorkerMemory extends WorkerIdentity {
  readonly rss: number
}

/** Exit code or signal of a worker's process. */
export interface WorkerEnd {
  readonly code: number | null
  readonly signal: string | null
}

/** Why a worker was lost. */
export interface WorkerLoss {
  readonly cause: CrashCause
  /** ms from the time when the worker was ready to its end; 0 when it never was. */
  readonly uptime: number
  /**
   * With `'start-timeout'`: those addresses of the worker that it was to replace on which it did not listen. Empty when
   * what `runFunc` returned had not settled.
   */
  readonly missing: readonly string[]
}

/** Events of the primary's handle. A listener that throws is logged and affects nothing else. */
export interface ClusterEvents {
  /** A worker is ready: it serves. */
  ready: [WorkerMemory]
  /** A worker is above its limit and waits for its replacement. */
  over: [WorkerMemory & { readonly limit: number }]
  /** The replacement of a worker begins. */
  recycle: [WorkerMemory & { readonly reason: RecycleReason }]
  /**
   * A worker is about to be ordered to drain: it accepts no more connections. Code of the application that hands
   * sockets to workers should leave it out from now on, except for clients with a session there.
   */
  drain: [WorkerMemory & { readonly reason: DrainReason }]
  /** A replaced worker has ended. `ms`: time since the order to drain; `rss`: bytes when the order was given. */
  recycled: [WorkerMemory & WorkerEnd & { readonly reason: RecycleReason; readonly ms: number }]
  /** A worker was lost: it ended without an order, could not be started, or lost its channel to the primary. */
  crash: [WorkerIdentity & WorkerEnd & WorkerLoss]
  /** Workers end soon after they were ready: none is forked for `ms`. */
  backoff: [{ readonly ms: number; readonly step: number }]
  /** A worker was above the limit as soon as it was ready: replacing it cannot help, so it stays. Emitted once. */
  thrash: [WorkerIdentity & { readonly lifetime: number; readonly ms: number }]
  /**
   * A worker was above the limit as soon as it was ready: its replacement would be too, so it is not replaced. Emitted
   * once.
   */
  'limit-unreachable': [WorkerMemory & { readonly limit: number }]
}

/** State of one worker, as the primary knows it. */
export interface WorkerStats extends WorkerMemory {
  readonly state: SlotState
  /** Whether the worker is above its limit and waits for its replacement. */
  readonly over: boolean
  /** Time since the fork, ms. */
  readonly age: number
}

/** State of the cluster now, and counts since the start. */
export interface ClusterStats {
  /** Number of workers that are to serve. */
  readonly count: number
  readonly workers: readonly WorkerStats[]
  readonly forks: number
  readonly recycled: number
  readonly crashes: number
}

/**
 * Result of `run`. In a worker it is inert: it emits nothing, `stats()` is empty and `stop()` does nothing, so that the
 * same code can run in both.
 */
export interface Cluster extends EventEmitter<ClusterEvents> {
  stats(): ClusterStats
  /** Drains all workers and resolves when the last one has ended. Idempotent; does not end the primary. */
  stop(): Promise<void>
}
