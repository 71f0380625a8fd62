import { workerData } from 'node:worker_threads'
import { setInterval } from '../base/time'
import type { OrphanThreadData } from './orphan-watchdog'

/** Interval at which the thread checks whether the primary still exists, ms. */
const POLL_MS = 200

/** A main thread that has not noticed the primary's end after this time (ms) is stuck. */
const STUCK_MS = 1000

const { parentPid, known, deadlineMs } = workerData as OrphanThreadData

let orphanedMs = 0

// Counted in ticks, not by a clock: while the process is stopped, no time passes for the main thread either.
setInterval(() => {
  if (process.ppid === parentPid) return
  orphanedMs += POLL_MS
  const isStuck = Atomics.load(known, 0) === 0 && orphanedMs >= STUCK_MS
  if (isStuck || orphanedMs >= deadlineMs) process.kill(process.pid, 'SIGKILL')
}, POLL_MS)
