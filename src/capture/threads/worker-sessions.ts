import type { NodeWorker, Session } from 'node:inspector'
import { parseJson, Promise, toJson } from '../../base/globals'

/** A worker thread, seen through the inspector. */
export interface AttachedWorker {
  /** `threadId` of the worker. */
  readonly id: number
  /** Name of the worker; empty if it has none. */
  readonly name: string
  /**
   * Calls one method of the inspector in the worker.
   *
   * @returns The method's result; rejects with the method's error. A worker in a long native call answers after that call. If the
   * worker ends before it answers, the promise stays pending.
   */
  readonly ask: <Result>(method: string, params?: object) => Promise<Result>
}

export interface WorkerListener {
  /** Called for each worker that exists or has just started. */
  attached(worker: AttachedWorker): void
  /** Called when an attached worker has ended. */
  detached(worker: AttachedWorker): void
  /** Called when all workers that existed at the start are attached, or with an error when no worker can be attached. */
  listed(error: Error | null): void
}

/** Name that Node 22 and later give to a worker for which the application chose no name. */
const NO_NAME = 'WorkerThread'

/**
 * Attaches to all workers, this library's own included, by the NodeWorker domain of an inspector session to the main
 * thread. If the session belongs to another thread, this works even while the main thread spins in a loop, and includes the
 * workers of workers.
 *
 * To detach, disconnect the session: `NodeWorker.disable` from another thread does not return on Node 24 and 26. Several
 * sessions to one worker do not disturb each other, so a debugger keeps its session.
 */
export function attachToWorkers(session: Pick<Session, 'on' | 'post'>, listener: WorkerListener): void {
  const workers = new Map<string, { worker: AttachedWorker; answered: (message: string) => void }>()
  session.on('NodeWorker.attachedToWorker', ({ params: { sessionId, workerInfo } }) => {
    const identity = identityOf(workerInfo)
    if (!identity) return
    const { ask, answered } = createCalls((message, failed) =>
      session.post('NodeWorker.sendMessageToWorker', { sessionId, message }, (error) => {
        if (error) failed(error)
      }),
    )
    const worker = { ...identity, ask }
    workers.set(sessionId, { worker, answered })
    listener.attached(worker)
  })
  session.on('NodeWorker.receivedMessageFromWorker', ({ params: { sessionId, message } }) =>
    workers.get(sessionId)?.answered(message),
  )
  session.on('NodeWorker.detachedFromWorker', ({ params: { sessionId } }) => {
    const attached = workers.get(sessionId)
    workers.delete(sessionId)
    if (attached) listener.detached(attached.worker)
  })
  session.post('NodeWorker.enable', { waitForDebuggerOnStart: false }, (error) => {
    listener.listed(error)
  })
}

/** Reads id and name of a worker from its title in the inspector, such as `[worker 3] name`; `undefined` for other titles. */
function identityOf({ title }: NodeWorker.WorkerInfo): Pick<AttachedWorker, 'id' | 'name'> | undefined {
  const [, id, name = ''] = /^\[worker (\d+)\] ?(.*)$/s.exec(title) ?? []
  return id === undefined ? undefined : { id: Number(id), name: name === NO_NAME ? '' : name }
}

interface Answer {
  readonly id?: number
  readonly result?: unknown
  readonly error?: { readonly message: string }
}

/** Returns `ask`, which makes an inspector call through `send`, and `answered`, which gives an answer to the call with its id. */
function createCalls(send: (message: string, failed: (error: Error) => void) => void) {
  const waiting = new Map<number, (answer: Answer) => void>()
  let lastId = 0
  const ask = <Result>(method: string, params: object = {}): Promise<Result> =>
    new Promise<Result>((resolve, reject) => {
      const id = ++lastId
      waiting.set(id, ({ result, error }) =>
        error ? reject(new Error(`${method}: ${error.message}`)) : resolve(result as Result),
      )
      send(toJson({ id, method, params }), (error) => {
        waiting.delete(id)
        reject(error)
      })
    })
  const answered = (message: string): void => {
    const answer = parseJson(message) as Answer
    if (answer.id === undefined) return
    waiting.get(answer.id)?.(answer)
    waiting.delete(answer.id)
  }
  return { ask, answered }
}
