import type { NodeWorker, Session } from 'node:inspector'
import { AbortController, parseJson, Promise, toJson } from '../../base/globals'
import { pause } from '../../base/timers'
import type { MainThread } from './orders'

/** A worker thread, as the inspector shows it. */
export interface ListedWorker {
  /** `threadId`. */
  readonly id: number
  /** Empty where it has none. */
  readonly name: string
  /** Bytes. Absent when it did not answer in time. */
  readonly heapUsed?: number
  readonly heapTotal?: number
}

/** Longest time that a list takes, ms. Idle and spinning workers answer within 10 ms, those in a long native call not at all. */
export const LIST_DEADLINE_MS = 500

/** Most workers that are asked. */
const MOST_WORKERS = 256

/**
 * Asks all worker threads of the process for their heaps, workers of workers included. The main thread may be blocked in
 * JavaScript. Never rejects: without an answer the list is empty.
 *
 * @param early - Aborted when the list is no longer worth waiting for.
 */
export async function listWorkers(
  mainThread: Pick<MainThread, 'connect'>,
  early: AbortSignal,
): Promise<ListedWorker[]> {
  let session: Session
  try {
    session = mainThread.connect()
  } catch {
    return []
  }
  try {
    return await listOver(session, early)
  } catch {
    return []
  } finally {
    // No NodeWorker.disable: from another thread it does not return on Node 24 and 26, and the end of the session detaches as well.
    session.disconnect()
  }
}

async function listOver(session: Session, early: AbortSignal): Promise<ListedWorker[]> {
  const workers = new Map<string, ListedWorker>()
  let isListed = false
  let answers = 0
  let allAnswered: () => void = () => undefined
  const answered = new Promise<void>((resolve) => (allAnswered = resolve))
  const look = (): void => {
    if (isListed && answers >= workers.size) allAnswered()
  }
  session.on('NodeWorker.attachedToWorker', ({ params: { sessionId, workerInfo } }) => {
    const worker = workerOf(workerInfo)
    if (!worker || workers.size >= MOST_WORKERS) return
    workers.set(sessionId, worker)
    const message = toJson({ id: 1, method: 'Runtime.getHeapUsage' })
    session.post('NodeWorker.sendMessageToWorker', { sessionId, message }, (error) => {
      if (!error) return
      answers++
      look()
    })
  })
  session.on('NodeWorker.receivedMessageFromWorker', ({ params: { sessionId, message } }) => {
    const worker = workers.get(sessionId)
    if (!worker) return
    workers.set(sessionId, { ...worker, ...heapOf(message) })
    answers++
    look()
  })
  session.post('NodeWorker.enable', { waitForDebuggerOnStart: false }, () => {
    isListed = true
    look()
  })
  const over = new AbortController()
  const end = (): void => over.abort()
  early.addEventListener('abort', end)
  if (early.aborted) end()
  await Promise.race([answered, pause(LIST_DEADLINE_MS, over.signal)])
  early.removeEventListener('abort', end)
  end()
  return [...workers.values()]
}

/** The title is `[worker 3] name`. */
function workerOf({ title }: NodeWorker.WorkerInfo): ListedWorker | undefined {
  const [, id, name = ''] = /^\[worker (\d+)\] ?(.*)$/s.exec(title) ?? []
  return id === undefined ? undefined : { id: Number(id), name: name === 'WorkerThread' ? '' : name }
}

function heapOf(message: string): Pick<ListedWorker, 'heapUsed' | 'heapTotal'> {
  const { result } = parseJson(message) as { readonly result?: { usedSize?: unknown; totalSize?: unknown } }
  const { usedSize, totalSize } = result ?? {}
  return typeof usedSize === 'number' && typeof totalSize === 'number'
    ? { heapUsed: usedSize, heapTotal: totalSize }
    : {}
}
