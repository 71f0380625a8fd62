import { Promise } from '../../base/globals'
import { monotonicMs, pause } from '../../base/time'

/**
 * CPU time of one turn of an event loop up to which the turn counts as short, ms. A loaded server of short requests
 * needs a quarter of it.
 */
export const SHORT_STRETCH_MS = 8

/** Turns are long when their times above {@link SHORT_STRETCH_MS} exceed the times below it by this sum, ms. */
export const LONG_STRETCH_MS = 50

/** Interval at which the thread is checked, ms. */
const LOOK_EVERY_MS = 25

/** The thread that is checked. */
export interface TurningThread {
  /** Resolves to the monotonic time of the next turn of its event loop, ms. Never rejects. */
  readonly turn: () => Promise<number>
  /** CPU time of the thread so far, ms; `undefined` where the system does not show it: then only the clock counts. */
  readonly cpuMs: () => number | undefined
}

/**
 * Waits until the thread works in long stretches (turns of its event loop): in one that does not end, or in many, each
 * too long to consist of short requests. Only CPU time counts: a thread that waits for a CPU, or for a debugger, does
 * no work. The clock counts too, because the thread that checks may itself have to wait for a CPU.
 *
 * @returns `true` for long stretches, `false` when the signal was aborted before that.
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
