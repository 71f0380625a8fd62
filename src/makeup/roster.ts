import { OWN_THREAD_NAME, type WorkerBirth } from '../base/thread-figures'
import type { ThreadKind } from './makeup'

/** Kind and name of a thread. */
export interface Identity {
  readonly kind: ThreadKind
  readonly name: string
  /** `threadId` of a worker. */
  readonly id?: number | undefined
}

/** The kernel's ids (tids) of threads whose kind is known without their names, such as V8's by the order of their start. */
export interface KnownThreads {
  readonly main?: number | undefined
  readonly monitor?: number | undefined
  readonly v8: readonly number[]
  readonly pool: readonly number[]
}

/** Number of workers that a {@link Roster} remembers, including workers that have ended. Beyond it the oldest is forgotten. */
export const BIRTHS_KEPT = 1024

/**
 * Identifies threads by kind and name. Node names its threads from version 24 on (the threads of the pool from 22.23
 * on). In earlier versions all threads have the name of the program. There the roster identifies a thread by the order
 * in which Node starts its threads, and by the moment at which a worker or the pool starts.
 */
export class Roster {
  readonly #kinds = new Map<number, ThreadKind>()
  readonly #workers = new Map<number, { id: number; name: string | undefined }>()
  readonly #names = new Map<number, string>()

  constructor({ main, monitor, v8, pool }: KnownThreads) {
    for (const tid of v8) this.#kinds.set(tid, 'v8')
    this.addPool(pool)
    if (main !== undefined) this.#kinds.set(main, 'main')
    if (monitor !== undefined) this.#kinds.set(monitor, 'monitor')
  }

  addPool(tids: readonly number[]): void {
    for (const tid of tids) if (!this.#kinds.has(tid)) this.#kinds.set(tid, 'pool')
  }

  addWorker({ tid, id, name }: WorkerBirth): void {
    if (this.#kinds.get(tid) === 'monitor') return
    // The kernel reuses thread ids: an earlier thread with this id has ended.
    this.#kinds.delete(tid)
    this.#workers.delete(tid)
    this.#workers.set(tid, { id, name })
    const [oldest] = this.#workers.keys()
    if (this.#workers.size > BIRTHS_KEPT && oldest !== undefined) this.#workers.delete(oldest)
  }

  /** Sets the names of workers by `threadId`, for workers whose start was reported without a name (before Node 22.17). */
  nameWorkers(workers: readonly { readonly id: number; readonly name: string }[]): void {
    this.#names.clear()
    for (const { id, name } of workers) this.#names.set(id, name)
  }

  /**
   * Returns the kind and the name of a thread.
   *
   * @param comm - Name of the thread in the kernel; `undefined` if it is not known, for example after the thread has ended.
   */
  identify(tid: number, comm: string | undefined): Identity {
    const kind = this.#kinds.get(tid)
    const worker = this.#workers.get(tid)
    if (kind === 'main') return { kind, name: 'main thread' }
    if (kind === 'monitor') return MONITOR
    if (worker) {
      const { id, name = this.#names.get(id) ?? '' } = worker
      // The S3 upload and the cluster also start threads of this library. The roster knows them by name, not by id.
      if (name === OWN_THREAD_NAME) return MONITOR
      return { kind: 'worker', id, name: isNodesName(name) ? '' : name }
    }
    const named = kindByName(comm)
    if (named ?? kind)
      return { kind: (named ?? kind) as ThreadKind, name: NAMES[(named ?? kind) as ThreadKind] }
    return { kind: 'other', name: comm ?? 'ended' }
  }
}

const MONITOR = { kind: 'monitor', name: OWN_THREAD_NAME } as const

const NAMES: Readonly<Record<ThreadKind, string>> = {
  main: 'main thread',
  worker: '',
  pool: 'thread pool',
  v8: 'V8',
  monitor: OWN_THREAD_NAME,
  other: '',
}

/** Whether a name is the one that Node gives to a worker without a name. */
function isNodesName(name: string): boolean {
  return name === 'WorkerThread'
}

/** Longest name of a thread in the kernel, characters. The kernel cuts longer names. */
const LONGEST_COMM = 15

/** The kind of a thread by the name that Node gives to V8's and the pool's threads, or this library to its own; else `undefined`. */
function kindByName(comm: string | undefined): 'v8' | 'pool' | 'monitor' | undefined {
  if (comm === undefined) return undefined
  if (comm === 'libuv-worker') return 'pool'
  if (comm === OWN_THREAD_NAME.slice(0, LONGEST_COMM)) return 'monitor'
  return /^(node-)?V8Worker$|^DelayedTaskSche$/.test(comm) ? 'v8' : undefined
}

/**
 * Finds V8's threads and the thread pool among the threads with which Node starts a process. Node starts them in this
 * order, so with ascending ids: the main thread, the scheduler of delayed tasks, V8's threads, the thread that waits for
 * SIGUSR1, and, if the program is an ES module, the thread pool.
 *
 * @param tids - Kernel ids of all threads of the process, listed as early as possible.
 * @param v8PoolSize - Value of `--v8-pool-size`. With 0, V8 chooses the number, and no thread can be identified.
 * @param uvPoolSize - Value of `UV_THREADPOOL_SIZE`.
 */
export function threadsAtStart(
  tids: readonly number[],
  main: number,
  v8PoolSize: number,
  uvPoolSize: number,
): Pick<KnownThreads, 'v8' | 'pool'> {
  if (v8PoolSize === 0) return { v8: [], pool: [] }
  const others = tids.filter((tid) => tid !== main).sort((one, other) => one - other)
  const v8 = others.slice(0, v8PoolSize + 1)
  const rest = others.slice(v8PoolSize + 2)
  return { v8, pool: rest.length === uvPoolSize ? rest : [] }
}

const DEFAULT_V8_POOL_SIZE = 4

/** Returns the value of `--v8-pool-size` in the options of a Node process; without the option, Node's default. */
export function v8PoolSizeOf(options: readonly string[]): number {
  const text = options.join(' ')
  const size = [...text.matchAll(/(?:^| )--v8[-_]pool[-_]size[= ](\d+)/g)].at(-1)?.[1]
  return size === undefined ? DEFAULT_V8_POOL_SIZE : Number(size)
}
