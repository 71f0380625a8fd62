import { channel } from 'node:diagnostics_channel'
import type { Worker } from 'node:worker_threads'
import type { WorkerBirth } from '../base/thread-figures'
import { listThreads } from './threads'

/**
 * Reports the kernel's thread id of each worker thread that the calling thread starts from now on. Node offers no link between a
 * worker's `threadId` and this id.
 *
 * Node publishes a worker on a diagnostics channel within the call that has created the worker's thread. So the newest thread of
 * the process is that worker's. Workers that were started earlier, or by another worker, are not reported. Keeps no reference to
 * a worker.
 *
 * @param onBirth - Called with the ids of each new worker; must not throw.
 * @returns A function that ends the reports.
 */
export function watchWorkerBirths(onBirth: (birth: WorkerBirth) => void): () => void {
  let known = new Set(listThreads())
  const workers = channel('worker_threads')
  const onWorker = (message: unknown): void => {
    const { threadId: id, threadName } = (message as { worker: Worker & { threadName?: unknown } }).worker
    const threads = listThreads()
    const tid = Math.max(...threads.filter((thread) => !known.has(thread)))
    known = new Set(threads)
    const name = typeof threadName === 'string' ? threadName : undefined
    if (Number.isFinite(tid)) onBirth({ tid, id, name })
  }
  // Without /proc, thread ids cannot be read.
  if (known.size === 0) return () => undefined
  workers.subscribe(onWorker)
  return () => void workers.unsubscribe(onWorker)
}
