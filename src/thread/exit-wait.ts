import { Atomics } from '../base/globals'

/** The longest that an exiting process waits for what the watchdog does with it, ms. Below the 500 ms that are promised. */
export const EXIT_WAIT_MS = 450

const HOLDS = 0
const PHASE = 1
const CHILD_PID = 2

const RUNNING = 0
const EXITING = 1
const OVER = 2

/** Bytes of shared memory that the wait needs. */
export const EXIT_WAIT_BYTES = 12

/**
 * Lets an exiting process wait, for a bounded time, until the watchdog has finished its dump and let go of the main thread.
 *
 * Every dump and every inspector session to the main thread is a hold. In an `'exit'` handler no event loop turns any more,
 * so the main thread can only sleep on shared memory; the inspector interrupts even that sleep, so a session still works. One
 * that is open when the wait is over would make Node print "Waiting for the debugger to disconnect" and, under `--inspect`,
 * really wait.
 */
export class ExitWait {
  readonly #words: Int32Array
  /** Whether the latest dump began before the exit did. One that began later must not open a session. */
  #isHeldInTime = false

  constructor(shared: SharedArrayBuffer) {
    this.#words = new Int32Array(shared, 0, 3)
  }

  /** On the watchdog thread: the process must not end now. */
  hold(): void {
    Atomics.add(this.#words, HOLDS, 1)
    this.#isHeldInTime = Atomics.load(this.#words, PHASE) === RUNNING
  }

  /**
   * Like {@link hold}, for what needs the main thread.
   *
   * @returns `false`, with nothing held, when the main thread may have gone. Who holds already may go on while the main
   * thread waits.
   */
  tryHold(): boolean {
    const holdsBefore = Atomics.add(this.#words, HOLDS, 1)
    const phase = Atomics.load(this.#words, PHASE)
    const isLate = phase === OVER || (phase === EXITING && (holdsBefore === 0 || !this.#isHeldInTime))
    if (isLate) this.release()
    return !isLate
  }

  release(): void {
    if (Atomics.sub(this.#words, HOLDS, 1) === 1) Atomics.notify(this.#words, HOLDS)
  }

  /**
   * On the watchdog thread, within a hold: the dump is in the hands of a forked child, which needs neither thread, or, with
   * `undefined`, is back. A process need not wait meanwhile.
   */
  noteChild(pid: number | undefined): void {
    // In this order an exit in between finds the one or the other.
    if (pid === undefined) this.hold()
    Atomics.store(this.#words, CHILD_PID, pid ?? 0)
    if (pid !== undefined) this.release()
  }

  /** The forked child that is at work. */
  get childPid(): number | undefined {
    return Atomics.load(this.#words, CHILD_PID) || undefined
  }

  get isExiting(): boolean {
    return Atomics.load(this.#words, PHASE) !== RUNNING
  }

  /** On the main thread, at exit, once. From now on nothing new is begun. */
  begin(): void {
    Atomics.store(this.#words, PHASE, EXITING)
  }

  /** Whether the watchdog is at something that wants an end. */
  get isHeld(): boolean {
    return Atomics.load(this.#words, HOLDS) > 0
  }

  /** On the main thread, after {@link begin}. Returns when nothing is held any more, or when the time is over. */
  wait(nowMs: () => number): void {
    const deadlineMs = nowMs() + EXIT_WAIT_MS
    for (;;) {
      const holds = Atomics.load(this.#words, HOLDS)
      const leftMs = deadlineMs - nowMs()
      if (holds <= 0 || leftMs <= 0) break
      Atomics.wait(this.#words, HOLDS, holds, leftMs)
    }
    Atomics.store(this.#words, PHASE, OVER)
  }
}
