// Types of readings about threads: `src/system` takes the readings, `src/makeup` combines them.

/** Name of each worker thread that this package starts. By it, every copy of the package tells them from the application's. */
export const OWN_THREAD_NAME = 'cpu-memory-monitor'

/** Sizes of a thread's V8 heap and of its memory outside of the heap, in bytes. Read on that thread itself. */
export interface HeapFigures {
  /** Time of the reading, monotonic clock, ms. */
  readonly atMs: number
  readonly heapUsed: number
  readonly heapTotal: number
  readonly heapLimit: number
  readonly external: number
  readonly arrayBuffers: number
  /** CPU time of the thread, ms. NaN on Linux, where /proc shows it, and where Node does not offer it (before 22.19 and 23.9). */
  readonly threadCpuMs: number
}

/** CPU time, and time of waiting for a CPU, of one thread since it started. `tid` is the thread's id in the kernel. */
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
