import { stat } from 'node:fs'
import { listThreads } from '../system/threads'
import { loadForkHelper } from './heap/fork/helper'

/** Number of threads in libuv's pool if UV_THREADPOOL_SIZE is not set. */
const DEFAULT_POOL_SIZE = 4
const MAX_POOL_SIZE = 1024

/** Number of threads or processes that the application must be able to start after this library has started a thread. */
const LEFT_TO_THE_APPLICATION = 4

let isPoolStarted = false

/**
 * Returns why this process cannot start `wanted` more threads now; `undefined` when it can. Also returns `undefined` when
 * the native fork helper, which makes the test, is missing.
 *
 * Call it before anything that starts a thread: if a limit such as RLIMIT_NPROC or pids.max allows no more threads, libuv
 * aborts the process, and so does V8 in Node 24 and 26. libuv starts its pool at the first asynchronous use of a file, and
 * V8's CPU profiler starts one thread.
 */
export function whyNoThreads(wanted: number): string | undefined {
  const loaded = loadForkHelper()
  if (!('helper' in loaded)) return undefined
  const available = loaded.helper.threadsAvailable(wanted)
  return available < wanted
    ? `the system lets this process start only ${available} of the ${wanted} threads needed (RLIMIT_NPROC or pids.max)`
    : undefined
}

/**
 * Returns why this library must not start a thread of its own now; `undefined` when it may. It may if the process can start
 * that thread, the threads of libuv's pool, and 4 more, which are left to the application.
 */
export function whyNoThreadOfOurs(): string | undefined {
  return whyNoThreads(1 + poolSize() + LEFT_TO_THE_APPLICATION)
}

/**
 * Returns why libuv's thread pool cannot be started; `undefined` when it can. The caller must then use the pool, and so
 * start it: later calls return `undefined` without a check, because Node does not show whether the pool runs.
 */
export function whyNoThreadPool(): string | undefined {
  if (isPoolStarted) return undefined
  const why = whyNoThreads(poolSize())
  isPoolStarted = why === undefined
  return why && `libuv's thread pool cannot be started: ${why}`
}

/**
 * Starts libuv's thread pool before this call returns, because later the limit on threads may be reached.
 *
 * @returns The kernel's ids of the pool's threads; none when the pool ran already, or when other threads started at the
 * same time.
 * @throws Error when the pool cannot be started.
 */
export function startThreadPool(): readonly number[] {
  const why = whyNoThreadPool()
  if (why !== undefined) throw new Error(why)
  const before = new Set(listThreads())
  stat('/', () => undefined)
  const added = listThreads().filter((tid) => !before.has(tid))
  return added.length === poolSize() ? added : []
}

/** Returns the number of threads in libuv's pool, from UV_THREADPOOL_SIZE as libuv reads it. */
export function poolSize(): number {
  const { UV_THREADPOOL_SIZE } = process.env
  if (UV_THREADPOOL_SIZE === undefined) return DEFAULT_POOL_SIZE
  const size = Number.parseInt(UV_THREADPOOL_SIZE, 10)
  return Math.min(Math.max(Number.isNaN(size) ? 1 : size, 1), MAX_POOL_SIZE)
}
