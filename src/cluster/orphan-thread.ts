import { workerData } from 'node:worker_threads'
import { setInterval } from '../base/time'
import type { OrphanThreadData } from './orphan-watchdog'

/** Interval at which the thread checks whether the primary still exists, ms. */
const POLL_MS = 200

/** If the main thread has not noticed the primary's end after this time, ms, its event loop counts as stuck. */
const STUCK_MS = 1000

const { parentPid, known, deadlineMs } = workerData as OrphanThreadData

let orphanedMs = 0

// The time is counted in ticks of this timer, not read from a clock: while the whole process is stopped (SIGSTOP), the
// main thread cannot notice the primary's end, and no ticks are counted.
setInterval(() => {
  if (process.ppid === parentPid) return
  orphanedMs += POLL_MS
  const isStuck = Atomics.load(known, 0) === 0 && orphanedMs >= STUCK_MS
  if (isStuck || orphanedMs >= deadlineMs) process.kill(process.pid, 'SIGKILL')
}, POLL_MS)
