/** Number by which the reconciler identifies a worker. It is assigned before the worker is forked. */
export type WorkerKey = number

/**
 * Why a worker is replaced. `'over'`: it is above the memory limit. `'hard-limit'`: it is above the hard limit. `'asked'`: it
 * got a signal, or the application called its `disconnect()`.
 */
export type RecycleReason = 'over' | 'hard-limit' | 'asked'

/** Why a worker is ordered to drain: it is replaced, or the whole cluster stops (`'stop'`). */
export type DrainReason = RecycleReason | 'stop'

/** Inputs of the reconciler in the primary. Inputs that come from a worker have the names of its messages. */
export type ClusterInput =
  | { readonly type: 'start' }
  /** A server or UDP socket of a worker listens on an address. */
  | { readonly type: 'listening'; readonly key: WorkerKey; readonly address: string }
  /** No server or UDP socket of a worker listens on an address any more. */
  | { readonly type: 'shut'; readonly key: WorkerKey; readonly address: string }
  /** A worker has called `run`. */
  | { readonly type: 'joined'; readonly key: WorkerKey }
  /** A worker's `runFunc` has settled. */
  | { readonly type: 'started'; readonly key: WorkerKey; readonly rssBytes: number }
  /** A worker's reading of its own memory: at or below the limit, or above it but not yet `confirm` times in a row. */
  | { readonly type: 'reading'; readonly key: WorkerKey; readonly rssBytes: number }
  /** A worker above its limit asks to be replaced. */
  | { readonly type: 'over'; readonly key: WorkerKey; readonly rssBytes: number }
  /** A worker is to leave, because it got a signal or because the application called its `disconnect()`. */
  | { readonly type: 'asked'; readonly key: WorkerKey }
  /** A draining worker accepts no more connections. */
  | { readonly type: 'closed'; readonly key: WorkerKey }
  /** A draining worker has finished its work, and begins to write a dump. */
  | { readonly type: 'drained'; readonly key: WorkerKey }
  | {
      readonly type: 'exit'
      readonly key: WorkerKey
      readonly code: number | null
      readonly signal: string | null
    }
  /** The channel to the worker is closed: the worker is about to exit, or lives on without new connections. */
  | { readonly type: 'disconnected'; readonly key: WorkerKey }
  /** The worker could not be started at all. */
  | { readonly type: 'fork-failed'; readonly key: WorkerKey }
  /** The primary's own reading of all workers' resident sets. */
  | { readonly type: 'seen'; readonly rssBytes: ReadonlyMap<WorkerKey, number> }
  /** The time that the reconciler's `wakeAt` names has come. */
  | { readonly type: 'tick' }
  | { readonly type: 'stop' }

/** Actions that the reconciler returns, and that the primary executes in the order in which they are returned. */
export type ClusterAction =
  | { readonly type: 'fork'; readonly key: WorkerKey }
  | { readonly type: 'drain'; readonly key: WorkerKey; readonly reason: DrainReason }
  | { readonly type: 'kill'; readonly key: WorkerKey }
  | { readonly type: 'report'; readonly news: ClusterNews }
  /** After `stop`: the last worker has ended. */
  | { readonly type: 'finished' }

/**
 * Why a worker that was not ordered to leave was lost. `'exit'`: its process ended. `'disconnect'`: its channel to the primary
 * closed. `'start-timeout'`: it was not ready in time. `'run-not-called'`: it was not ready in time, because its file did not
 * call `run`. `'fork-failed'`: it could not be started.
 */
export type CrashCause = 'exit' | 'disconnect' | 'start-timeout' | 'run-not-called' | 'fork-failed'

/** Events that the primary reports to its listeners. */
export type ClusterNews =
  | { readonly name: 'ready'; readonly key: WorkerKey; readonly rssBytes: number }
  | { readonly name: 'over'; readonly key: WorkerKey; readonly rssBytes: number }
  | {
      readonly name: 'recycle'
      readonly key: WorkerKey
      readonly reason: RecycleReason
      readonly rssBytes: number
    }
  | {
      readonly name: 'drain'
      readonly key: WorkerKey
      readonly reason: DrainReason
      readonly rssBytes: number
    }
  | {
      readonly name: 'recycled'
      readonly key: WorkerKey
      readonly reason: RecycleReason
      readonly rssBytes: number
      /** Time from the order to drain to the end of the worker, ms. */
      readonly durationMs: number
      readonly code: number | null
      readonly signal: string | null
    }
  | {
      readonly name: 'crash'
      readonly key: WorkerKey
      readonly cause: CrashCause
      readonly code: number | null
      readonly signal: string | null
      /** Time from ready to the loss, ms; 0 when the worker was never ready. */
      readonly uptimeMs: number
      /**
       * Addresses on which the worker should have listened but did not. Empty unless the cause is 'start-timeout' and `runFunc`
       * had settled.
       */
      readonly missing: readonly string[]
    }
  | { readonly name: 'backoff'; readonly delayMs: number; readonly step: number }
  | {
      readonly name: 'thrash'
      readonly key: WorkerKey
      readonly lifetimeMs: number
      readonly delayMs: number
    }
  | {
      readonly name: 'limit-unreachable'
      readonly key: WorkerKey
      readonly rssBytes: number
      readonly limitBytes: number
    }
