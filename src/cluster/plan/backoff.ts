/** First delay and longest delay of an exponential back-off, ms. */
export interface BackoffSettings {
  readonly baseMs: number
  readonly maxMs: number
}

/** Share of a delay, 0 to 1, by which the delay randomly varies up and down, so that hosts that fail together retry apart. */
export const BACKOFF_SPREAD = 0.25

/**
 * Returns one delay of an exponential back-off, ms, randomly varied by {@link BACKOFF_SPREAD}.
 *
 * @param step - 0: no delay; 1: the first delay. Every further step doubles the delay, up to the longest one.
 * @param random - Returns a number from 0 to below 1, as `Math.random` does.
 */
export function backoffMs(step: number, settings: BackoffSettings, random: () => number): number {
  if (step <= 0) return 0
  const delayMs = Math.min(settings.maxMs, settings.baseMs * 2 ** (step - 1))
  return delayMs * (1 - BACKOFF_SPREAD + 2 * BACKOFF_SPREAD * random())
}

/**
 * Delays forks after workers died before or soon after they were ready. Each such death is a step, and doubles the delay.
 * Deaths during a delay are no further steps, so workers that die together count once. The number of steps is unlimited: a
 * cluster that gave up would stay dead after the cause is repaired.
 */
export class CrashBackoff {
  #step = 0
  #until = -Infinity

  constructor(
    private readonly settings: BackoffSettings,
    private readonly random: () => number,
  ) {}

  /** Number of steps in a row, since a worker last lived long enough. */
  get step(): number {
    return this.#step
  }

  /**
   * End of the latest delay, monotonic ms; `-Infinity` before the first. The successor of a worker that died early is forked
   * then, or earlier if another worker becomes ready before (see `baseDelayMs`).
   */
  get until(): number {
    return this.#until
  }

  /** Counts a death. @returns Whether it began a new step; a death during a delay does not. */
  note(now: number): boolean {
    if (this.#step > 0 && now < this.#until) return false
    this.#step += 1
    this.#until = now + backoffMs(this.#step, this.settings, this.random)
    return true
  }

  /** Resets the count of steps, because a worker has lived long enough. A delay that has begun still applies. */
  calm(): void {
    this.#step = 0
  }

  /** Delay of the first step, ms, or 0 if there was no step. Other missing workers wait only this long once one is ready. */
  baseDelayMs(): number {
    return backoffMs(Math.min(1, this.#step), this.settings, this.random)
  }
}
