import { stat } from 'node:fs'
import { listThreads } from '../system/threads'
import { loadForkHelper } from './heap/fork/helper'

/** Threads of libuv's pool where UV_THREADPOOL_SIZE is not set. */
const DEFAULT_POOL_SIZE = 4
const MAX_POOL_SIZE = 1024

/** Threads and processes left to the application where a thread of ours takes one. */
const LEFT_TO_THE_APPLICATION = 4

let isPoolStarted = false

/**
 * Why that many threads cannot be started now; `undefined` when they can, and where it cannot be tried: without the fork helper.
 *
 * To be asked before anything that starts a thread. libuv (its pool, at the first asynchronous use of a file) and V8 (the CPU
 * profiler) abort the process when that fails, under a limit such as RLIMIT_NPROC or pids.max.
 */
export function whyNoThreads(wanted: number): string | undefined {
  const loaded = loadForkHelper()
  if (!('helper' in loaded)) return undefined
  const available = loaded.helper.threadsAvailable(wanted)
  return available < wanted
    ? `the system lets this process start only ${available} of ${wanted} threads (RLIMIT_NPROC, pids.max)`
    : undefined
}

/** {@link whyNoThreads} for a thread of ours, for the pool that it may be the first to use, and for what the application starts. */
export function whyNoThreadOfOurs(): string | undefined {
  return whyNoThreads(1 + poolSize() + LEFT_TO_THE_APPLICATION)
}

/**
 * {@link whyNoThreads} for libuv's pool. The caller uses the pool next, which starts it: whether it runs cannot be asked, and once it
 * does there is nothing to fear.
 */
export function whyNoThreadPool(): string | undefined {
  if (isPoolStarted) return undefined
  const why = whyNoThreads(poolSize())
  isPoolStarted = why === undefined
  return why && `libuv's thread pool cannot be started: ${why}`
}

/**
 * Starts libuv's pool within the call, before others take the room for it.
 *
 * @returns The kernel's numbers of its threads; none when the pool ran already, or when they cannot be told from other new threads.
 * @throws Error when it cannot be started.
 */
export function startThreadPool(): readonly number[] {
  const why = whyNoThreadPool()
  if (why !== undefined) throw new Error(why)
  const before = new Set(listThreads())
  stat('/', () => undefined)
  const added = listThreads().filter((tid) => !before.has(tid))
  return added.length === poolSize() ? added : []
}

/** As libuv reads it, at the first use of the pool. */
export function poolSize(): number {
  const { UV_THREADPOOL_SIZE } = process.env
  if (UV_THREADPOOL_SIZE === undefined) return DEFAULT_POOL_SIZE
  const size = Number.parseInt(UV_THREADPOOL_SIZE, 10)
  return Math.min(Math.max(Number.isNaN(size) ? 1 : size, 1), MAX_POOL_SIZE)
}
