import type { Session } from 'node:inspector'
import type { PartialArtefact } from '../files/partial'
import type { PathHolding } from './allocation-sites'
import type { PassedOver } from './capture'
import type { ForkOptions } from './fork-helper'

/** State of the main thread's V8 heap, bytes. */
export interface HeapStatistics {
  readonly usedBytes: number
  readonly totalBytes: number
  readonly limitBytes: number
  /** Memory outside the heap that objects in it hold (Buffers). */
  readonly externalBytes: number
}

/**
 * Who runs the sampling heap profiler: we do, another user of it does (we read along and never stop it), or nobody:
 * ours has been stopped by another.
 */
export type SamplerState = 'ours' | 'foreign' | 'stopped'

/** Input or output of an order that has none. */
export type Nothing = Record<string, never>

/**
 * What only the main thread can do. Every order runs synchronously there, takes and gives plain JSON, and writes what is
 * large to a file by itself: so an order can be given across threads, even to a thread that spins in a loop.
 * Files named in an order were created by the caller (0600, O_EXCL) and are written to in place.
 */
export interface Orders {
  /** Does nothing: an answer says that the main thread takes orders. */
  ping: { input: Nothing; output: Nothing }
  heapStatistics: { input: Nothing; output: HeapStatistics }
  /** Loads the optional package for that kind of dump. Fails if it does not load here. */
  loadPackage: { input: { kind: 'cpu' | 'memory' }; output: Nothing }
  /** Writes a heap snapshot with V8 itself or with the heapdump package, in place. Fails when the file is no longer there. */
  heapSnapshot: { input: { way: 'v8' | 'heapdump'; file: string }; output: { pauseMs: number } }
  /** Starts the sampling heap profiler, unless one runs already. Forces one full GC if another user's does. */
  startSampling: { input: { intervalBytes: number }; output: { sampler: SamplerState } }
  /**
   * Writes what the sampling heap profiler has seen; writes nothing if that is nothing (`samples` is 0). Forces one full
   * GC unless the sampler is `stopped`.
   */
  samplingProfile: {
    input: { file: string }
    output: { pauseMs: number; samples: number; sampler: SamplerState }
  }
  /** What each call path has allocated and the heap still holds. Forces one full GC; without a sampler: none, and no holdings. */
  allocationSites: { input: Nothing; output: { holdings?: readonly PathHolding[] } }
  /** Stops the sampling heap profiler if it is ours. */
  stopSampling: { input: Nothing; output: Nothing }
  /**
   * Forks the process. The child writes the sampling profile, if a file for it is given, and then the snapshot, verifies
   * and publishes both, and ends; what it says at the end comes out of the descriptor, as JSON of a `ChildReport`. Fails, and
   * forks nothing, when the file is no longer there.
   */
  forkHeapDump: {
    input: {
      snapshot: PartialArtefact
      profile?: PartialArtefact
      passedOver: readonly PassedOver[]
      pausedBeforeMs: number
      options: ForkOptions
    }
    output: { pid: number; resultDescriptor: number; pauseMs: number }
  }
  /** Starts a CPU profile with v8-profiler-next. Fails if somebody else is recording with that package. */
  startPackageProfile: { input: { title: string; samplingIntervalUs: number }; output: { pauseMs: number } }
  /** Ends the CPU profile of that title and writes it; without a file it is thrown away. */
  stopPackageProfile: { input: { title: string; file?: string }; output: { pauseMs: number } }
  /** Ends a CPU profile with v8-profiler-next that was started by order and not stopped by one, and throws it away. */
  dropPackageProfile: { input: Nothing; output: Nothing }
}

export type OrderName = keyof Orders

/**
 * The way to the main thread, from whichever thread the dispatcher runs on. On the main thread itself the orders are
 * plain calls; from the watchdog thread they travel over the inspector.
 */
export interface MainThread {
  /** Opens an inspector session to the main thread. Whoever opens it disconnects it. */
  connect(): Session
  /** Runs one order there. Rejects with the order's own error. */
  order<Name extends OrderName>(name: Name, input: Orders[Name]['input']): Promise<Orders[Name]['output']>
  /** The same within the call, with the order's own error thrown. Only where the caller is on the main thread itself. */
  readonly orderNow?: <Name extends OrderName>(
    name: Name,
    input: Orders[Name]['input'],
  ) => Orders[Name]['output']
}
