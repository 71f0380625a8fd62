import type { Session } from 'node:inspector'

/** State of the main thread's V8 heap, bytes, as `v8.getHeapStatistics()` names it. */
export interface HeapStatistics {
  readonly usedBytes: number
  readonly totalBytes: number
  readonly limitBytes: number
  /** Memory outside the heap that objects in it hold (Buffers). */
  readonly externalBytes: number
}

/**
 * What only the main thread can do. Every order runs synchronously there, takes and gives plain JSON, and writes what is
 * large to a file by itself: so an order can be given across threads, even to a thread that spins in a loop.
 * Files named in an order were created by the caller (0600, O_EXCL) and are written to in place.
 */
export interface Orders {
  /** Does nothing: an answer says that the main thread takes orders. */
  ping: { input: Record<string, never>; output: Record<string, never> }
  heapStatistics: { input: Record<string, never>; output: HeapStatistics }
  /** Writes a heap snapshot with V8 itself or with the heapdump package, in place. */
  heapSnapshot: { input: { way: 'v8' | 'heapdump'; file: string }; output: { pauseMs: number } }
  /** Writes what the sampling heap profiler has seen. Forces one full GC. */
  samplingProfile: { input: { file: string }; output: { pauseMs: number } }
  startPackageProfile: { input: { title: string; samplingIntervalUs: number }; output: { pauseMs: number } }
  stopPackageProfile: { input: { title: string; file: string }; output: { pauseMs: number } }
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
}
