/**
 * Kind of a thread. `pool`: libuv's thread pool, which runs crypto, zlib, fs and dns; `v8`: garbage collection and
 * compilation; `monitor`: a thread of this library; `other`: a thread of an addon, or one that cannot be identified.
 */
export type ThreadKind = 'main' | 'worker' | 'pool' | 'v8' | 'monitor' | 'other'

/**
 * CPU use of one thread, or of several threads of one kind that share an entry: threads with the same name, and, in a
 * list that would exceed 24 entries, the least busy workers and the least busy threads of addons.
 */
export interface ThreadUse {
  /** Name of the thread. Empty for a worker without a name, and for threads with different names that share an entry. */
  readonly name: string
  readonly kind: ThreadKind
  /** `threadId` of a worker. */
  readonly id?: number
  /** Number of threads that share this entry; absent for a single thread. */
  readonly count?: number
  /** CPU use, percent of one core. */
  readonly cpuPercent: number
  /** Time in which the thread was ready to run but had no CPU, percent of `spanMs`. Absent where it is not known. */
  readonly waitPercent?: number
}

/** Memory of a worker thread, bytes. */
export interface WorkerHeap {
  readonly id: number
  readonly name: string
  readonly heapUsed: number
  readonly heapTotal: number
  /** Memory outside of the V8 heap that JavaScript objects own, `arrayBuffers` included. */
  readonly external: number
  /** Contents of ArrayBuffers and Buffers. */
  readonly arrayBuffers: number
}

/** A worker thread whose memory could not be read. */
export type UnreadWorker = Pick<WorkerHeap, 'id' | 'name'>

/**
 * Memory of the process, bytes. `rss` is the sum of `heapTotal`, `external`, each worker's `heapTotal` and `external`, and
 * `rest`. The sum can be larger if memory was allocated but never touched, such as a new Buffer: it is not resident.
 */
export interface MemoryUse {
  readonly rss: number
  /**
   * Used part of the main thread's heap. `heapUsed`, `heapTotal`, `heapLimit`, `external`, `arrayBuffers` and `ageMs` are absent
   * until the main thread has reported its memory for the first time.
   */
  readonly heapUsed?: number
  /** Main thread's heap without the pages that were probably never touched, which V8's own number includes. */
  readonly heapTotal?: number
  /** V8's limit for the main thread's whole heap. */
  readonly heapLimit?: number
  /** Memory outside of the V8 heap that JavaScript objects own, `arrayBuffers` included. */
  readonly external?: number
  /** Contents of ArrayBuffers and Buffers. */
  readonly arrayBuffers?: number
  /** Time since the main thread reported its memory, ms. A blocked main thread makes no new reports. */
  readonly ageMs?: number
  /** Memory of the worker threads that answered when they were asked for it. */
  readonly workers: readonly WorkerHeap[]
  /**
   * Worker threads whose memory could not be read, because they did not answer in time or the application has replaced
   * their `process.memoryUsage`. Absent when there is none.
   */
  readonly unread?: readonly UnreadWorker[]
  /**
   * All other memory of the process: native memory, code, stacks, SharedArrayBuffers, memory that was freed but not returned
   * to the system, and all memory of the `unread` workers. Until the main thread has reported its memory, also that.
   */
  readonly rest: number
  /**
   * `rest` at the start of monitoring: memory that Node.js and the loaded program take by themselves. At most 60 MB if worker
   * threads were already running then, because their memory counts as `rest` too. Absent while it is not known.
   */
  readonly restAtStart?: number
}

/** CPU use of a process by thread, and its memory by owner. */
export interface Makeup {
  /**
   * Length of the time that `threads` covers, ms: the time since the cause of the dump began (the first reading above the
   * threshold, the block of the event loop), or the last 10 s if there is no such time.
   */
  readonly spanMs: number
  /** CPU use of the whole process during `spanMs`, percent of one core. */
  readonly cpuPercent: number
  /** Threads, largest CPU use first. The sum of their `cpuPercent` is about the CPU use of the process. */
  readonly threads: readonly ThreadUse[]
  /** CPU that the main thread used for garbage collections, percent of one core. Absent without the native fork helper. */
  readonly gcPercent?: number
  readonly memory: MemoryUse
}
