import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { ownThreadOptions } from '../base/thread-environment'
import { ownPackageDirectory } from '../capture/own-package'
import { whyNoThreadOfOurs } from '../capture/thread-limit'
import { KILL_GRACE_MS } from './plan/roster'

/** Data passed to the watchdog thread of a worker at its start. */
export interface OrphanThreadData {
  readonly parentPid: number
  /** Shared with the main thread. The only element is 1 once the main thread has noticed that the primary is gone, else 0. */
  readonly known: Int32Array
  /** Time from the primary's end until the orphaned worker is ended in any case, ms. */
  readonly deadlineMs: number
}

export interface OrphanWatchdog {
  /** Must be called when the main thread notices that the primary is gone, and so begins to drain the worker. */
  noteOrphaned(): void
}

/**
 * Starts a thread that kills this worker after its primary is gone, if the worker's event loop is stuck or the worker has not
 * ended in time. With a stuck event loop no timer of the main thread fires, and no primary is left to send SIGKILL.
 *
 * @param killTimeoutMs - Time that an orphaned worker has to end, ms; the thread kills it 2 s later.
 * @param onFailure - Called when the thread cannot start or dies; the worker then runs without it.
 */
export function startOrphanWatchdog(
  killTimeoutMs: number,
  onFailure: (error: unknown) => void,
): OrphanWatchdog {
  const known = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))
  const data: OrphanThreadData = {
    parentPid: process.ppid,
    known,
    deadlineMs: killTimeoutMs + KILL_GRACE_MS,
  }
  try {
    const noThread = whyNoThreadOfOurs()
    if (noThread !== undefined) throw new Error(noThread)
    const thread = new Worker(join(ownPackageDirectory(), 'dist', 'cluster', 'orphan-thread.js'), {
      ...ownThreadOptions(),
      workerData: data,
      resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2, stackSizeMb: 1 },
    })
    thread.on('error', onFailure)
    thread.unref()
  } catch (error) {
    onFailure(error)
  }
  return { noteOrphaned: () => void Atomics.store(known, 0, 1) }
}
