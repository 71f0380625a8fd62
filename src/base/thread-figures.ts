// What is read of threads in `system` and put together in `makeup`.

/** What a thread knows about its own heap, bytes, and when it was read. */
export interface HeapFigures {
  /** Monotonic clock, ms. */
  readonly atMs: number
  readonly heapUsed: number
  readonly heapTotal: number
  readonly heapLimit: number
  readonly external: number
  readonly arrayBuffers: number
  /** CPU time of the thread, ms; NaN where Node does not offer it (before 22.19 and 24.6). */
  readonly threadCpuMs: number
}

/** CPU time of one thread since it started. */
export interface ThreadTime {
  readonly tid: number
  readonly cpuMs: number
  /** Time ready to run and without a CPU, ms; NaN where the kernel does not count it. */
  readonly waitMs: number
}

/** A worker that the main thread has started, and the kernel's number of its thread. */
export interface WorkerBirth {
  readonly tid: number
  readonly id: number
  /** Absent where Node does not have it (before 22.17). */
  readonly name?: string | undefined
}
