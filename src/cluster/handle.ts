import type { EventEmitter } from 'node:events'
import type { CrashCause, DrainReason, RecycleReason } from './plan/events'
import type { SlotState } from './plan/slot'

/** Which worker an event is about. */
export interface WorkerIdentity {
  /** As in `cluster.workers`; 0 for a worker that could not be started. */
  readonly id: number
  /** 0 for a worker that could not be started. */
  readonly pid: number
}

/** A worker and its resident set size in bytes. */
export interface WorkerMemory extends WorkerIdentity {
  readonly rss: number
}

/** How a worker's process ended. */
export interface WorkerEnd {
  readonly code: number | null
  readonly signal: string | null
}

/** Why a worker was lost. */
export interface WorkerLoss {
  readonly cause: CrashCause
  /** ms since it was ready; 0 when it never was. */
  readonly uptime: number
  /** With `'start-timeout'`: the addresses of its predecessor on which it did not listen. */
  readonly missing: readonly string[]
}

/** What the primary's handle emits. A listener that throws is logged and disturbs nothing else. */
export interface ClusterEvents {
  /** A worker serves. */
  ready: [WorkerMemory]
  /** A worker is above its limit and waits for its replacement. */
  over: [WorkerMemory & { readonly limit: number }]
  /** The replacement of a worker begins. */
  recycle: [WorkerMemory & { readonly reason: RecycleReason }]
  /**
   * A worker is about to be ordered to drain: it accepts no more connections. Code of the primary that hands sockets to
   * workers leaves it out from now on, except for clients with a session there.
   */
  drain: [WorkerMemory & { readonly reason: DrainReason }]
  /** A replaced worker is gone. `ms`: from the order to drain; `rss`: bytes when the order was given. */
  recycled: [WorkerMemory & WorkerEnd & { readonly reason: RecycleReason; readonly ms: number }]
  /** A worker was lost: it is gone without an order, could not be started, or lives on without a channel to the primary. */
  crash: [WorkerIdentity & WorkerEnd & WorkerLoss]
  /** Workers die young: none is forked for `ms`. */
  backoff: [{ readonly ms: number; readonly step: number }]
  /** A worker was over its limit `lifetime` ms after it was ready: the next replacement waits for `ms`. */
  thrash: [WorkerIdentity & { readonly lifetime: number; readonly ms: number }]
  /** A worker was born above the limit: replacing it cannot help, so it is not replaced. Emitted once. */
  'limit-unreachable': [WorkerMemory & { readonly limit: number }]
}

/** One worker as the primary sees it. */
export interface WorkerStats extends WorkerMemory {
  readonly state: SlotState
  /** Above its limit, waiting for its replacement. */
  readonly over: boolean
  /** ms since the fork. */
  readonly age: number
}

/** The cluster as it is now, and what has happened since the start. */
export interface ClusterStats {
  /** How many workers are to serve. */
  readonly count: number
  readonly workers: readonly WorkerStats[]
  readonly forks: number
  readonly recycled: number
  readonly crashes: number
}

/**
 * What `run` returns. In a worker it is inert: it emits nothing, `stats()` is empty and `stop()` does nothing, so that the
 * same code can run in both.
 */
export interface Cluster extends EventEmitter<ClusterEvents> {
  stats(): ClusterStats
  /** Drains all workers and resolves when the last one is gone. Idempotent; does not end the primary. */
  stop(): Promise<void>
}
