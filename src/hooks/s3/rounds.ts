import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { AbortController, messageOf, Promise } from '../../base/globals'
import { ownThreadOptions } from '../../base/thread-environment'
import { ownPackageDirectory } from '../../capture/own-package'
import { whyNoThreadOfOurs } from '../../capture/thread-limit'
import type * as roundModule from './round'
import type { RoundEnd, RoundNews, RoundOrder } from './round'

/** Limit of the old generation of the upload thread's V8 heap, MB. The data that is sent lies outside of the heap. */
const MAX_HEAP_MB = 128
/** Limit of the young generation of the upload thread's V8 heap, MB. */
const MAX_YOUNG_MB = 8

/** An upload round that is running. */
export interface Round {
  /** Resolves when the round has ended. Never rejects. */
  readonly ended: Promise<RoundEnd>
  /** Aborts the round. A later round sends the unfinished file again. */
  stop(): void
}

export type StartRound = (
  order: Omit<RoundOrder, 'isOnThread'>,
  tell: (news: RoundNews) => void,
  onNoThread: (why: string) => void,
) => Round

/** Starts an upload round on a new thread. If no thread can be started, calls `onNoThread` and starts it on the main thread. */
export const startRound: StartRound = (order, tell, onNoThread) => {
  try {
    return startOnThread({ ...order, isOnThread: true }, tell)
  } catch (error) {
    onNoThread(messageOf(error))
    return startHere({ ...order, isOnThread: false }, tell)
  }
}

/** @throws When no thread can be started. */
function startOnThread(order: RoundOrder, tell: (news: RoundNews) => void): Round {
  const why = whyNoThreadOfOurs()
  if (why !== undefined) throw new Error(why)
  const worker = new Worker(join(ownPackageDirectory(), 'dist', 'hooks', 's3', 'upload-thread.js'), {
    ...ownThreadOptions(),
    workerData: order,
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB, maxYoungGenerationSizeMb: MAX_YOUNG_MB },
  })
  const stop = (): void => void worker.terminate().catch(() => undefined)
  const ended = new Promise<RoundEnd>((resolve) => {
    const died = (how: string): void =>
      resolve({ type: 'failed', verdict: { kind: 'away', message: `the upload thread ${how}` } })
    worker.on('message', (message: RoundNews | RoundEnd) => {
      if ('line' in message || 'message' in message) return tell(message)
      resolve(message)
      stop()
    })
    worker.on('error', (error) => died(`died: ${messageOf(error)}`))
    worker.on('exit', (code) => died(`ended with code ${code}`))
  })
  // Unref the worker last: adding a listener for 'message' refs it again.
  worker.unref()
  return { ended, stop }
}

function startHere(order: RoundOrder, tell: (news: RoundNews) => void): Round {
  const early = new AbortController()
  const { runRound } = require('./round') as typeof roundModule
  return { ended: runRound(order, tell, early.signal), stop: () => early.abort() }
}
