/** How often the main thread says that its event loop turns, ms. */
export const BEAT_MS = 1000

/** How often the watchdog looks, ms. */
export const TICK_MS = 250

/**
 * Tells from beats whether the main thread's event loop is blocked.
 *
 * Time is counted in the watchdog's own ticks, never by a clock: a process that is stopped, suspended or throttled stands
 * still in both threads, so it is not taken for one whose main thread alone hangs. Counting begins with the first beat:
 * a long synchronous boot is not an incident.
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

  /** For how long no beat has come, ms of the watchdog's own time. */
  get silentMs(): number {
    return this.#ticksSinceBeat * TICK_MS
  }

  /**
   * One tick of the watchdog.
   *
   * @param beats - How many beats there have been so far.
   * @param isPaused - The main thread stands in a debugger; then its silence is nobody's fault.
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
