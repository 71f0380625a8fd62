import type { Session } from 'node:inspector'
import type { MarkedFile, PartialArtefact } from '../../files/partial'
import type { PassedOver } from '../capture'
import type { PathHolding } from '../heap/allocation-sites'
import type { ForkOptions } from '../heap/fork/helper'

/** State of the main thread's V8 heap, bytes. */
export interface HeapStatistics {
  readonly usedBytes: number
}

/**
 * Owner of the running sampling heap profiler: this library, or another user (whose profile is read and never stopped);
 * `stopped`: none, because another user stopped this library's.
 */
export type SamplerState = 'ours' | 'foreign' | 'stopped'

/** Input or output of an order that has none. */
export type Nothing = Record<string, never>

/**
 * The orders: work that only the main thread can do. Every order runs synchronously there, takes and returns plain
 * JSON, and writes large output to a file itself. So it can be sent from another thread, even to a thread that spins in
 * a loop. An order's target is a file that the caller created (0600, O_EXCL). The order opens it by name, but writes
 * only if it is still that file: the caller may have abandoned the order, or another user may have put another file in
 * its place.
 */
export interface Orders {
  heapStatistics: { input: Nothing; output: HeapStatistics }
  /** Loads the optional package for that kind of dump. Fails if it does not load here. */
  loadPackage: { input: { kind: 'cpu' | 'memory' }; output: Nothing }
  /** Writes a heap snapshot with V8 itself or with the heapdump package, in place. */
  heapSnapshot: { input: { way: 'v8' | 'heapdump'; target: MarkedFile }; output: { pauseMs: number } }
  /** Starts the sampling heap profiler, unless one runs already. Forces one full GC if another user's does. */
  startSampling: { input: { intervalBytes: number }; output: { sampler: SamplerState } }
  /**
   * Writes the profile of the sampling heap profiler; writes nothing if it has no samples. Forces one full GC unless the
   * sampler is `stopped`.
   */
  samplingProfile: {
    input: { target: MarkedFile }
    output: { pauseMs: number; samples: number; writtenBytes: number; sampler: SamplerState }
  }
  /**
   * Memory held by each call path, and the number of the sampler's start, with which the numbers of paths and samples
   * begin anew. Forces one full GC; without a sampler, forces none and returns nothing.
   */
  allocationSites: {
    input: Nothing
    output: { sampled?: { readonly run: number; readonly holdings: readonly PathHolding[] } }
  }
  /** Stops the sampling heap profiler if this library started it. */
  stopSampling: { input: Nothing; output: Nothing }
  /**
   * Forks the process. The child writes the sampling profile, if it is given a file for it, and then the snapshot,
   * checks and publishes both, and ends; its report, a `ChildReport` as JSON, comes through the descriptor. Fails,
   * without a fork, when the file for the snapshot is no longer there.
   */
  forkHeapDump: {
    input: {
      snapshot: PartialArtefact
      profile?: PartialArtefact
      passedOver: readonly PassedOver[]
      redact?: boolean
      pausedBeforeMs: number
      /** Without the signal, which the main thread adds. */
      options: Omit<ForkOptions, 'ignoredSignal'>
    }
    /** `gone`: why there was no fork: the file that the child was to write has been removed or replaced. */
    output: { pid: number; resultDescriptor: number; pauseMs: number } | { gone: string }
  }
  /** Makes V8 discard its optimized code; does nothing without an inspector, or while coverage is collected. */
  forgetOptimizedCode: { input: Nothing; output: { pauseMs: number } }
  /** Starts a CPU profile with v8-profiler-next. Fails if the application is recording with that package. */
  startPackageProfile: { input: { title: string; samplingIntervalUs: number }; output: { pauseMs: number } }
  /** Ends the CPU profile of that title and writes it; without a target it is discarded. */
  stopPackageProfile: {
    input: { title: string; target?: MarkedFile }
    output: { pauseMs: number; writtenBytes: number }
  }
}

export type OrderName = keyof Orders

/**
 * Access to the main thread, from whichever thread the dispatcher runs on. On the main thread itself the orders are
 * plain calls; from the watchdog thread they are sent through the inspector.
 */
export interface MainThread {
  /** Opens an inspector session to the main thread. The caller disconnects it. */
  connect(): Session
  /** Runs one order on the main thread. Rejects with the order's own error. */
  order<Name extends OrderName>(name: Name, input: Orders[Name]['input']): Promise<Orders[Name]['output']>
  /** Runs one order within the call, and throws its error. Only where the caller is on the main thread itself. */
  readonly orderNow?:
    (<Name extends OrderName>(name: Name, input: Orders[Name]['input']) => Orders[Name]['output']) | undefined
  /** Resolves at the next turn of the main thread's event loop, to its monotonic time, ms. Never rejects. */
  turn(): Promise<number>
}
