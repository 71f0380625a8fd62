import { Atomics } from '../base/globals'

/** Longest time that an exiting process waits for the watchdog to finish, ms. Below the 500 ms that are promised. */
export const EXIT_WAIT_MS = 450

const HOLDS = 0
const PHASE = 1
const CHILD_PID = 2

const RUNNING = 0
const EXITING = 1
const OVER = 2

/** Bytes of shared memory that an `ExitWait` needs. */
export const EXIT_WAIT_BYTES = 12

/**
 * Lets an exiting process wait, for a bounded time, until the watchdog has finished its dump and its sessions to the
 * main thread.
 *
 * Every dump and every inspector session to the main thread is a hold (a count in shared memory). In an `'exit'`
 * handler the event loop has stopped, so the main thread can only sleep on that memory; the inspector interrupts even
 * that sleep, so a session still works. A session that is open when the wait is over would make Node print "Waiting for
 * the debugger to disconnect" and, under `--inspect`, really wait.
 */
export class ExitWait {
  readonly #words: Int32Array
  /** Whether the latest dump began before the exit. One that began later must not open a session. */
  #isHeldInTime = false

  constructor(shared: SharedArrayBuffer) {
    this.#words = new Int32Array(shared, 0, 3)
  }

  /** On the watchdog thread: makes an exiting process wait for {@link release}. */
  hold(): void {
    Atomics.add(this.#words, HOLDS, 1)
    this.#isHeldInTime = Atomics.load(this.#words, PHASE) === RUNNING
  }

  /**
   * Like {@link hold}, for a step that needs the main thread.
   *
   * @returns `false`, with nothing held, when the main thread may have ended. While it waits for an earlier hold,
   * further holds are allowed.
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
   * On the watchdog thread, within a hold: a forked child, which needs neither thread, now writes the dump, or, with
   * `undefined`, has ended. In between an exiting process need not wait.
   */
  noteChild(pid: number | undefined): void {
    // In this order an exit in between finds either the hold or the child.
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

  /** On the main thread, at exit, once. From then on no new dump and no new session begins. */
  begin(): void {
    Atomics.store(this.#words, PHASE, EXITING)
  }

  /** Whether the watchdog has a dump or a session to finish. */
  get isHeld(): boolean {
    return Atomics.load(this.#words, HOLDS) > 0
  }

  /** On the main thread, after {@link begin}. Returns when nothing is held any more, or after {@link EXIT_WAIT_MS}. */
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
