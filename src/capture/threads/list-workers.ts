import type { Runtime, Session } from 'node:inspector'
import { AbortController, Promise } from '../../base/globals'
import { pause } from '../../base/time'
import type { MainThread } from '../main-thread/orders'
import { type AttachedWorker, attachToWorkers } from './worker-sessions'

/** A worker thread, as the inspector shows it. */
export interface ListedWorker {
  /** `threadId` of the worker. */
  readonly id: number
  /** Name of the worker; empty if it has none. */
  readonly name: string
  /** Absent when the worker did not answer in time, or its answer was not five numbers. */
  readonly memory?: ThreadMemory
}

/** Memory of one thread, and the resident set of the process at the same moment, bytes. */
export interface ThreadMemory {
  readonly rss: number
  readonly heapUsed: number
  readonly heapTotal: number
  readonly external: number
  readonly arrayBuffers: number
}

/** Memory of the main thread and of up to 256 workers. Each thread reads its own, within half a second of the others. */
export interface MemoryOfThreads {
  readonly workers: readonly ListedWorker[]
  /** Absent when the main thread did not answer in time, or its answer was not five numbers. */
  readonly main?: ThreadMemory
}

/** Longest wait for the answers of all threads, ms. A worker answers within 10 ms, unless it is in a long native call. */
export const LIST_DEADLINE_MS = 500

/** Maximum number of workers that are asked for their memory. */
const MOST_WORKERS = 256

/**
 * Asks all threads of the process for their memory, workers of workers included. A main thread that is blocked in
 * JavaScript answers too. The main thread is asked although it reports its memory regularly, because its latest report may
 * be more than a second old, and a leak may be fast. Never rejects: without an answer the list is empty.
 *
 * @param early - Aborted when the dump ends early: the answers so far are returned.
 */
export async function listWorkers(
  mainThread: Pick<MainThread, 'connect'>,
  early: AbortSignal,
): Promise<MemoryOfThreads> {
  let session: Session
  try {
    session = mainThread.connect()
  } catch {
    return { workers: [] }
  }
  try {
    return await listOver(session, early)
  } catch {
    return { workers: [] }
  } finally {
    // Disconnecting detaches from the workers. NodeWorker.disable would too, but from another thread that call does not
    // return on Node 24 and 26.
    session.disconnect()
  }
}

/**
 * Parameters of the inspector call `Runtime.evaluate` that returns the memory of a thread. The expression is constant,
 * because V8 keeps the text of every expression that it evaluates. The simpler call `Runtime.getHeapUsage` is not used: before
 * Node 24 it does not include a thread's Buffers.
 */
const MEMORY_USAGE = { expression: 'process.memoryUsage()', returnByValue: true }

async function listOver(session: Session, early: AbortSignal): Promise<MemoryOfThreads> {
  let main: ThreadMemory | undefined
  // Ask the main thread first, so that its answer has come when the workers are listed.
  session.post('Runtime.evaluate', MEMORY_USAGE, (error, answer?: Partial<Runtime.EvaluateReturnType>) => {
    if (!error) main = memoryOf(answer?.result?.value)
  })
  const workers = new Map<AttachedWorker, ListedWorker>()
  const asked: Promise<void>[] = []
  const ask = async (worker: AttachedWorker): Promise<void> => {
    try {
      const answer = await worker.ask<Partial<Runtime.EvaluateReturnType>>('Runtime.evaluate', MEMORY_USAGE)
      const memory = memoryOf(answer.result?.value)
      if (memory) workers.set(worker, { id: worker.id, name: worker.name, memory })
    } catch {
      return
    }
  }
  const answered = new Promise<void>((resolve) =>
    attachToWorkers(session, {
      attached(worker) {
        if (workers.size >= MOST_WORKERS) return
        workers.set(worker, { id: worker.id, name: worker.name })
        asked.push(ask(worker))
      },
      detached: () => undefined,
      listed: () => resolve(),
    }),
  ).then(() => Promise.all(asked))
  const over = new AbortController()
  const end = (): void => over.abort()
  early.addEventListener('abort', end)
  if (early.aborted) end()
  await Promise.race([answered, pause(LIST_DEADLINE_MS, over.signal)])
  early.removeEventListener('abort', end)
  end()
  return { workers: [...workers.values()], ...(main && { main }) }
}

/** Returns `undefined` unless all five sizes are numbers: the application may have replaced `process.memoryUsage`. */
function memoryOf(usage: unknown): ThreadMemory | undefined {
  const { rss, heapUsed, heapTotal, external, arrayBuffers } = Object(usage) as Partial<ThreadMemory>
  const memory = { rss, heapUsed, heapTotal, external, arrayBuffers }
  const areNumbers = Object.values(memory).every((bytes) => typeof bytes === 'number')
  return areNumbers ? (memory as ThreadMemory) : undefined
}
