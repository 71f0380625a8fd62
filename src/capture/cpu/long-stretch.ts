import { Promise } from '../../base/globals'
import { monotonicMs, pause } from '../../base/time'

/**
 * CPU time that one iteration (turn) of an event loop may take and still count as short, ms. A loaded server with short
 * requests needs a quarter of that per iteration.
 */
export const SHORT_STRETCH_MS = 8

/**
 * Sum at which a thread counts as working in long stretches (iterations of its event loop), ms. Each iteration adds its CPU time
 * less {@link SHORT_STRETCH_MS} to the sum. So a short iteration lowers the sum, but never below 0.
 */
export const LONG_STRETCH_MS = 50

/** Interval at which the CPU time of the thread is checked, ms. */
const LOOK_EVERY_MS = 25

/** A thread whose event loop is checked for long iterations (turns). */
export interface TurningThread {
  /** Resolves in the next iteration of the thread's event loop, to the time of that iteration, monotonic ms. Never rejects. */
  readonly turn: () => Promise<number>
  /** CPU time of the thread so far, ms. `undefined` where the system does not show it: elapsed time is then used instead. */
  readonly cpuMs: () => number | undefined
}

/**
 * Waits until a thread works in long stretches (iterations of its event loop): in one that does not end, or in many that
 * are too long to consist of short requests. The length of a stretch is its CPU time, because a thread that waits for a
 * CPU or for a debugger does no work. The elapsed time is the upper limit, because the checking thread may itself wait for
 * a CPU and so read the CPU time late.
 *
 * @returns `true` for long stretches, `false` if `until` was aborted before that.
 */
export async function waitForLongStretch(thread: TurningThread, until: AbortSignal): Promise<boolean> {
  let sumMs = 0
  while (!until.aborted) {
    const [askedAtMs, cpuMs] = [monotonicMs(), thread.cpuMs()]
    let turnedAtMs: number | undefined
    let stretchMs = 0
    const turning = thread.turn().then((atMs) => (turnedAtMs = atMs))
    do {
      await Promise.race([turning, pause(LOOK_EVERY_MS, until)])
      if (until.aborted) return false
      const elapsedMs = Math.max(0, (turnedAtMs ?? monotonicMs()) - askedAtMs)
      stretchMs = Math.min(since(cpuMs, thread.cpuMs()), elapsedMs) - SHORT_STRETCH_MS
      if (sumMs + stretchMs >= LONG_STRETCH_MS) return true
    } while (turnedAtMs === undefined)
    sumMs = Math.max(0, sumMs + stretchMs)
    await pause(LOOK_EVERY_MS, until)
  }
  return false
}

function since(before: number | undefined, now: number | undefined): number {
  return before === undefined || now === undefined ? Infinity : now - before
}
