import { Atomics } from '../base/globals'

/** Longest time that an exiting process waits for the watchdog thread, ms. The documentation promises at most 500 ms. */
export const EXIT_WAIT_MS = 450

const HOLDS = 0
const PHASE = 1
const CHILD_PID = 2

const RUNNING = 0
const EXITING = 1
const OVER = 2

/** Bytes of shared memory that an `ExitWait` needs: three 32-bit words. */
export const EXIT_WAIT_BYTES = 12

/**
 * Lets an exiting process wait, for a bounded time, until the watchdog thread has finished its dump and closed its
 * inspector sessions to the main thread.
 *
 * Each dump and each session counts as a hold in shared memory. In an `'exit'` handler the event loop has stopped, so the
 * main thread sleeps on that memory (`Atomics.wait`); the inspector can interrupt this sleep, so sessions still work. With
 * a session still open at the end, Node would print "Waiting for the debugger to disconnect" and, under `--inspect`,
 * really wait.
 */
export class ExitWait {
  readonly #words: Int32Array
  /** Whether the latest dump began before the exit. A dump that began later must not open an inspector session. */
  #isHeldInTime = false

  constructor(shared: SharedArrayBuffer) {
    this.#words = new Int32Array(shared, 0, 3)
  }

  /** Called on the watchdog thread when a dump begins: an exiting process then waits for {@link release}. */
  hold(): void {
    Atomics.add(this.#words, HOLDS, 1)
    this.#isHeldInTime = Atomics.load(this.#words, PHASE) === RUNNING
  }

  /**
   * Called on the watchdog thread before it opens an inspector session to the main thread. If the result is `true`, an exiting
   * process waits for {@link release}, which must be called when the session is closed.
   *
   * @returns `false` if no session may be opened, because the process is exiting. Only a dump that began before the exit, and
   * for which the main thread still waits, may open sessions then.
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
   * Called on the watchdog thread during a dump: with the pid when a forked child begins to write the dump, and with
   * `undefined` when the child has ended. In between there is no hold for the dump: the child needs neither thread, so an
   * exiting process need not wait for it.
   */
  noteChild(pid: number | undefined): void {
    // In this order, an exit between the two steps finds the hold, the pid, or both, but never neither.
    if (pid === undefined) this.hold()
    Atomics.store(this.#words, CHILD_PID, pid ?? 0)
    if (pid !== undefined) this.release()
  }

  /** Pid of the forked child that writes a dump. */
  get childPid(): number | undefined {
    return Atomics.load(this.#words, CHILD_PID) || undefined
  }

  get isExiting(): boolean {
    return Atomics.load(this.#words, PHASE) !== RUNNING
  }

  /** Called once on the main thread when the process exits. A dump that begins afterwards cannot open a session. */
  begin(): void {
    Atomics.store(this.#words, PHASE, EXITING)
  }

  /** Whether an exiting process has to wait: the watchdog thread has a session to close, or a dump that no forked child writes. */
  get isHeld(): boolean {
    return Atomics.load(this.#words, HOLDS) > 0
  }

  /**
   * Blocks the main thread of an exiting process, after {@link begin}, until the watchdog thread has no dump to finish and no
   * session to close, at most for {@link EXIT_WAIT_MS}.
   */
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
