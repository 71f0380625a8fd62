/** Interval at which a timer on the main thread gives a beat (sign of life), which the watchdog thread can see, ms. */
export const BEAT_MS = 1000

/** Interval (tick) at which the watchdog thread checks for beats (signs of life) of the main thread, ms. */
export const TICK_MS = 250

/**
 * Decides from beats (signs of life) whether the main thread's event loop is blocked.
 *
 * Time is counted in ticks of the watchdog thread, never by a clock. When the process is stopped, suspended or throttled,
 * both threads stand still, and the main thread must not be mistaken for blocked. Counting begins with the first beat, so
 * that a long synchronous start of the application does not count.
 */
export class BeatWatch {
  readonly #ticksUntilBlocked: number
  #beats = 0
  #ticksSinceBeat = 0
  #isBlocked = false

  /**
   * @param blockedMs - Time without a beat after which the loop counts as blocked, ms. One interval between beats is added,
   * because the loop may have been blocked only just before the next beat was due.
   */
  constructor(blockedMs: number) {
    this.#ticksUntilBlocked = Math.ceil((blockedMs + BEAT_MS) / TICK_MS)
  }

  /** Time since the latest beat, ms, counted in ticks of the watchdog thread. */
  get silentMs(): number {
    return this.#ticksSinceBeat * TICK_MS
  }

  /**
   * Called every {@link TICK_MS} on the watchdog thread.
   *
   * @param beats - Number of beats since the start.
   * @param isPaused - Whether a debugger or the monitor itself stops the main thread: then a tick does not count.
   * @returns `'blocks'` if the loop counts as blocked from this tick on, `'frees'` if it runs again, otherwise `undefined`.
   */
  tick(beats: number, isPaused: boolean): 'blocks' | 'frees' | undefined {
    if (beats !== this.#beats) return this.#beat(beats)
    if (beats === 0 || isPaused) return undefined
    this.#ticksSinceBeat++
    if (this.#isBlocked || this.#ticksSinceBeat < this.#ticksUntilBlocked) return undefined
    this.#isBlocked = true
    return 'blocks'
  }

  #beat(beats: number): 'frees' | undefined {
    this.#beats = beats
    this.#ticksSinceBeat = 0
    if (!this.#isBlocked) return undefined
    this.#isBlocked = false
    return 'frees'
  }
}
