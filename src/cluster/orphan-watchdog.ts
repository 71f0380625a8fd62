import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { ownThreadOptions } from '../base/thread-environment'
import { ownPackageDirectory } from '../capture/own-package'
import { whyNoThreadOfOurs } from '../capture/thread-limit'
import { KILL_GRACE_MS } from './plan/roster'

/** Data passed to the watchdog thread of a worker at its start. */
export interface OrphanThreadData {
  readonly parentPid: number
  /** Shared with the main thread. Its only element is 1 when the main thread has noticed that the primary is gone, else 0. */
  readonly known: Int32Array
  /** Time from the primary's end until the orphaned worker is ended in any case, ms. */
  readonly deadlineMs: number
}

export interface OrphanWatchdog {
  /** To be called when the main thread has noticed that the primary is gone, and drains. */
  noteOrphaned(): void
}

/**
 * Starts a thread that ends this worker when it outlives its primary with a stuck event loop: no timer of the main
 * thread fires then, and no primary is left to send SIGKILL.
 *
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
