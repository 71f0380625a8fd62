/** Interval at which the main thread's event loop sends a sign of life (a beat), ms. */
export const BEAT_MS = 1000

/** Interval at which the watchdog checks for beats, ms. */
export const TICK_MS = 250

/**
 * Judges from beats whether the main thread's event loop is blocked.
 *
 * Time is counted in the watchdog's own ticks, never by a clock: when the process is stopped, suspended or throttled,
 * both threads stand still, and the main thread is not mistaken for blocked. Counting begins with the first beat: a
 * long synchronous start of the application is not an incident.
 */
export class BeatWatch {
  readonly #ticksUntilBlocked: number
  #beats = 0
  #ticksSinceBeat = 0
  #isBlocked = false

  /**
   * @param blockedMs - Time without a beat that counts as blocked. The last beat may have come up to one beat before the
   * blockage began, so one beat is granted on top.
   */
  constructor(blockedMs: number) {
    this.#ticksUntilBlocked = Math.ceil((blockedMs + BEAT_MS) / TICK_MS)
  }

  /** Time without a beat, ms, counted in the watchdog's ticks. */
  get silentMs(): number {
    return this.#ticksSinceBeat * TICK_MS
  }

  /**
   * Called at each tick of the watchdog.
   *
   * @param beats - Number of beats so far.
   * @param isPaused - The main thread is stopped in a debugger or carries out an order: a missing beat is then no sign.
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
