import type { Session } from 'node:inspector'
import type { MarkedFile } from '../../files/disk'
import type { PartialArtefact } from '../../files/partial'
import type { PassedOver } from '../capture'
import type { PathHolding } from '../heap/allocation-sites'
import type { ForkOptions } from '../heap/fork/helper'

/** Size of the main thread's V8 heap, bytes. */
export interface HeapStatistics {
  readonly usedBytes: number
}

/**
 * State of V8's sampling heap profiler. `ours`: this library has started it. `foreign`: other code in the process has
 * started it; this library reads the profile but never stops the profiler. `stopped`: it does not run.
 */
export type SamplerState = 'ours' | 'foreign' | 'stopped'

/** An empty object: the type of an order's input when the order takes none, and of its output when it returns none. */
export type Nothing = Record<string, never>

/**
 * The orders: requests to the main thread for work that only the main thread can do. Every order runs synchronously,
 * takes and returns plain JSON, and writes large output to a file itself. So another thread can send an order even to a
 * main thread that spins in a loop. The `target` of an order is a file that the caller created (0600, O_EXCL). The main
 * thread opens it by name, but writes only if the file is still the same: the caller may have abandoned the order, or
 * another user may have replaced the file.
 */
export interface Orders {
  heapStatistics: { input: Nothing; output: HeapStatistics }
  /** Loads the optional package for this kind of dump (v8-profiler-next or heapdump). Fails if the package does not load. */
  loadPackage: { input: { kind: 'cpu' | 'memory' }; output: Nothing }
  /** Writes a heap snapshot on the main thread, without a fork, with V8 itself or with the heapdump package. */
  heapSnapshot: { input: { way: 'v8' | 'heapdump'; target: MarkedFile }; output: { pauseMs: number } }
  /** Starts the sampling heap profiler, unless it runs already. To find that other code has started it forces a GC as a rule. */
  startSampling: { input: { intervalBytes: number }; output: { sampler: SamplerState } }
  /**
   * Writes the profile of the sampling heap profiler to `target`; writes nothing if there are no samples. As a rule
   * this forces one full GC, if the profiler runs.
   */
  samplingProfile: {
    input: { target: MarkedFile }
    output: { pauseMs: number; samples: number; writtenBytes: number; sampler: SamplerState }
  }
  /**
   * Returns the sampled memory that each call path holds, and `run`, the number of times the sampler has been started: V8
   * numbers paths and samples anew in each run. As a rule this forces one full GC. While the sampler does not run, `sampled` is absent and no
   * GC is forced.
   */
  allocationSites: {
    input: Nothing
    output: { sampled?: { readonly run: number; readonly holdings: readonly PathHolding[] } }
  }
  /** Stops the sampling heap profiler if this library started it. */
  stopSampling: { input: Nothing; output: Nothing }
  /**
   * Forks the process. The child writes the sampling profile (if `profile` is given) and then the snapshot, checks both,
   * gives them their final names, and ends. Its report, a `ChildReport` as JSON, comes through the pipe
   * `resultDescriptor`. Does not fork when the file for the snapshot is no longer there.
   */
  forkHeapDump: {
    input: {
      snapshot: PartialArtefact
      profile?: PartialArtefact
      passedOver: readonly PassedOver[]
      redact?: boolean
      pausedBeforeMs: number
      /** Limits of the child. The main thread adds the number of the signal that the child ignores. */
      options: Omit<ForkOptions, 'ignoredSignal'>
    }
    /** `gone`: the reason why there was no fork, when the file for the snapshot has been removed or replaced. */
    output: { pid: number; resultDescriptor: number; pauseMs: number } | { gone: string }
  }
  /** Makes V8 discard its optimized code; does nothing without an inspector, or while coverage is collected. */
  forgetOptimizedCode: { input: Nothing; output: { pauseMs: number } }
  /** Starts a CPU profile with v8-profiler-next. Fails if the application is recording a profile with that package. */
  startPackageProfile: { input: { title: string; samplingIntervalUs: number }; output: { pauseMs: number } }
  /** Ends the CPU profile with this title and writes it to `target`; without a target the profile is discarded. */
  stopPackageProfile: {
    input: { title: string; target?: MarkedFile }
    output: { pauseMs: number; writtenBytes: number }
  }
}

export type OrderName = keyof Orders

/**
 * Access to the main thread for the dispatcher, which decides on dumps. If the dispatcher runs on the main thread, orders
 * (requests) are plain calls; from the watchdog thread they are sent through the inspector.
 */
export interface MainThread {
  /** Opens an inspector session to the main thread. The caller disconnects it. */
  connect(): Session
  /** Runs one order (request) on the main thread. Rejects with the error that the order threw there. */
  order<Name extends OrderName>(name: Name, input: Orders[Name]['input']): Promise<Orders[Name]['output']>
  /** Runs one order synchronously; an error in the order is thrown. Absent unless the caller is on the main thread itself. */
  readonly orderNow?:
    (<Name extends OrderName>(name: Name, input: Orders[Name]['input']) => Orders[Name]['output']) | undefined
  /** Resolves in the next iteration of the main thread's event loop, to that iteration's monotonic time, ms. Never rejects. */
  turn(): Promise<number>
}
