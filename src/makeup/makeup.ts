/**
 * Kind of a thread. `pool`: libuv's, which runs crypto, zlib, fs and dns; `v8`: garbage collection and compilation;
 * `monitor`: the thread of this library; `other`: a thread of an addon, or one that cannot be identified.
 */
export type ThreadKind = 'main' | 'worker' | 'pool' | 'v8' | 'monitor' | 'other'

/** CPU use of one thread, or of several of one kind: those of one name, and beyond 24 entries the least busy. */
export interface ThreadUse {
  /** Empty for a worker without a name, and where the entry stands for threads of several names. */
  readonly name: string
  readonly kind: ThreadKind
  /** `threadId` of a worker. */
  readonly id?: number
  /** Number of threads that this entry stands for. Absent: one. */
  readonly count?: number
  /** CPU use, percent of one core. */
  readonly cpuPercent: number
  /** Time in which a thread was ready to run but had no CPU, percent of the span. Absent where it is not counted. */
  readonly waitPercent?: number
}

/** Memory of a worker thread, bytes. */
export interface WorkerHeap {
  readonly id: number
  readonly name: string
  readonly heapUsed: number
  readonly heapTotal: number
  /** Memory outside of the heap that objects of the heap own, `arrayBuffers` included. */
  readonly external: number
  /** Contents of ArrayBuffers and Buffers. */
  readonly arrayBuffers: number
}

/** A worker thread of which no more is known. */
export type UnreadWorker = Pick<WorkerHeap, 'id' | 'name'>

/**
 * Memory of the process, bytes. `rss` is the sum of `heapTotal`, `external`, each worker's `heapTotal` and `external`, and `rest`. External memory
 * that was allocated and never touched is not resident; the sum is then larger.
 */
export interface MemoryUse {
  readonly rss: number
  /** This and the next five figures are the main thread's; absent until it has reported them. */
  readonly heapUsed?: number
  /** Of the heap, what is resident: V8 counts pages that it has not touched, which are left out here. */
  readonly heapTotal?: number
  /** V8's limit for the whole heap. */
  readonly heapLimit?: number
  /** Memory outside of the heap that objects of the heap own, `arrayBuffers` included. */
  readonly external?: number
  /** Contents of ArrayBuffers and Buffers. */
  readonly arrayBuffers?: number
  /** Age of the main thread's figures, ms. A blocked main thread reports none. */
  readonly ageMs?: number
  /** Worker threads that answered. */
  readonly workers: readonly WorkerHeap[]
  /**
   * Worker threads whose memory could not be read, because they did not answer in time or have another `process.memoryUsage`. Absent
   * when there is none.
   */
  readonly unread?: readonly UnreadWorker[]
  /**
   * Native memory, code, stacks, SharedArrayBuffers, memory that was freed and not returned to the system, and all memory of `unread`
   * workers.
   */
  readonly rest: number
  /**
   * `rest` when the watch began: what Node.js and the loaded program take by themselves. At most 60 MB where worker threads are older
   * than the watch. Absent while it is not known.
   */
  readonly restAtStart?: number
}

/** CPU use by thread, and memory by owner. */
export interface Makeup {
  /** Length of the time that `threads` covers, ms: that of the readings above the threshold, else the last seconds. */
  readonly spanMs: number
  /** CPU use of the whole process over that time, percent of one core. */
  readonly cpuPercent: number
  /** Largest first. The sum of `cpuPercent` is the process's use. */
  readonly threads: readonly ThreadUse[]
  /** CPU that the main thread used for garbage collections, percent of one core. Absent without the fork helper. */
  readonly gcPercent?: number
  readonly memory: MemoryUse
}
