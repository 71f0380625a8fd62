import { stat } from 'node:fs'
import { listThreads } from '../system/threads'
import { loadForkHelper } from './heap/fork/helper'

/** Threads of libuv's pool where UV_THREADPOOL_SIZE is not set. */
const DEFAULT_POOL_SIZE = 4
const MAX_POOL_SIZE = 1024

/** Threads and processes that the application must still be able to start after a thread of this library. */
const LEFT_TO_THE_APPLICATION = 4

let isPoolStarted = false

/**
 * Returns why `wanted` threads cannot be started now; `undefined` when they can, or when that cannot be tried, without
 * the fork helper.
 *
 * To be called before anything that starts a thread. libuv (its pool, at the first asynchronous use of a file) and V8
 * (the CPU profiler) abort the process when a start fails, under a limit such as RLIMIT_NPROC or pids.max.
 */
export function whyNoThreads(wanted: number): string | undefined {
  const loaded = loadForkHelper()
  if (!('helper' in loaded)) return undefined
  const available = loaded.helper.threadsAvailable(wanted)
  return available < wanted
    ? `the system lets this process start only ${available} of ${wanted} threads (RLIMIT_NPROC, pids.max)`
    : undefined
}

/** {@link whyNoThreads} for one thread of this library, for libuv's pool, and for what the application starts. */
export function whyNoThreadOfOurs(): string | undefined {
  return whyNoThreads(1 + poolSize() + LEFT_TO_THE_APPLICATION)
}

/**
 * {@link whyNoThreads} for libuv's pool, which the caller uses next and so starts. Node does not show whether the pool
 * runs; once it does, it starts no further threads.
 */
export function whyNoThreadPool(): string | undefined {
  if (isPoolStarted) return undefined
  const why = whyNoThreads(poolSize())
  isPoolStarted = why === undefined
  return why && `libuv's thread pool cannot be started: ${why}`
}

/**
 * Starts libuv's pool within the call, before other threads take its place under the limit.
 *
 * @returns The kernel's ids of its threads; none when the pool ran already, or when other threads started at the same
 * time.
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

/** Size of libuv's pool, as libuv reads it at the first use. */
export function poolSize(): number {
  const { UV_THREADPOOL_SIZE } = process.env
  if (UV_THREADPOOL_SIZE === undefined) return DEFAULT_POOL_SIZE
  const size = Number.parseInt(UV_THREADPOOL_SIZE, 10)
  return Math.min(Math.max(Number.isNaN(size) ? 1 : size, 1), MAX_POOL_SIZE)
}
