import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { threadEnvironment } from '../base/thread-environment'
import { ownPackageDirectory } from '../capture/own-package'
import { whyNoThreadOfOurs } from '../capture/thread-limit'
import { KILL_GRACE_MS } from './plan/roster'

/** What the thread gets at its start. */
export interface OrphanThreadData {
  readonly parentPid: number
  /** One element: 1 once the main thread knows that the primary is gone. */
  readonly known: Int32Array
  /** ms from the primary's end until an orphan is ended in any case. */
  readonly deadlineMs: number
}

export interface OrphanWatchdog {
  /** The main thread has noticed that the primary is gone, and drains. */
  noteOrphaned(): void
}

/**
 * Guards against a worker that outlives its primary with a stuck event loop: no timer of the main thread can end it, and no
 * primary is left to send SIGKILL. A thread of its own can.
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
      workerData: data,
      name: 'orphan-watchdog',
      // The application's preloads must not run a second time.
      execArgv: [],
      env: threadEnvironment(process.env),
      resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2, stackSizeMb: 1 },
    })
    thread.on('error', onFailure)
    thread.unref()
  } catch (error) {
    onFailure(error)
  }
  return { noteOrphaned: () => void Atomics.store(known, 0, 1) }
}
