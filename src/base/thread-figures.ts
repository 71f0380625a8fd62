// Types of readings about threads: `src/system` takes the readings, `src/makeup` combines them.

/** `name` of every worker thread that this package, in any copy of it, starts. It tells them from the application's workers. */
export const OWN_THREAD_NAME = 'cpu-memory-monitor'

/** Heap sizes of a thread, read on that thread, bytes. */
export interface HeapFigures {
  /** Time of the reading, monotonic clock, ms. */
  readonly atMs: number
  readonly heapUsed: number
  readonly heapTotal: number
  readonly heapLimit: number
  readonly external: number
  readonly arrayBuffers: number
  /** CPU time of the thread, ms; NaN where Node does not offer it (before 22.19 and 24.6). */
  readonly threadCpuMs: number
}

/** CPU time of one thread since it started. `tid` is the thread's id in the kernel. */
export interface ThreadTime {
  readonly tid: number
  readonly cpuMs: number
  /** Time in which the thread was ready to run but had no CPU, ms; NaN where the kernel does not count it. */
  readonly waitMs: number
}

/** A worker thread started by the main thread. `tid` is its id in the kernel, `id` its `threadId` in Node. */
export interface WorkerBirth {
  readonly tid: number
  readonly id: number
  /** Name of the worker; absent before Node 22.17, which does not publish it. */
  readonly name?: string | undefined
}
