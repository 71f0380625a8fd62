/** First delay and longest delay of an exponential back-off, ms. */
export interface BackoffSettings {
  readonly baseMs: number
  readonly maxMs: number
}

/** Each delay varies by this share, up and down, so that hosts that fail together do not retry together. */
export const BACKOFF_SPREAD = 0.25

/**
 * Returns the delay of an exponential back-off, ms.
 *
 * @param step - 0: no delay; 1: the first delay; doubled with every further step, up to the longest.
 * @param random - Returns a number from 0 to below 1, as `Math.random` does.
 */
export function backoffMs(step: number, settings: BackoffSettings, random: () => number): number {
  if (step <= 0) return 0
  const delayMs = Math.min(settings.maxMs, settings.baseMs * 2 ** (step - 1))
  return delayMs * (1 - BACKOFF_SPREAD + 2 * BACKOFF_SPREAD * random())
}

/**
 * Delays forks after workers that died before or soon after they were ready. All deaths during one delay count as one
 * step, such as those of all workers at the same moment. The back-off never gives up: a cluster that gave up would stay
 * dead after the cause is repaired.
 */
export class CrashBackoff {
  #step = 0
  #until = -Infinity

  constructor(
    private readonly settings: BackoffSettings,
    private readonly random: () => number,
  ) {}

  /** Number of failed steps in a row. */
  get step(): number {
    return this.#step
  }

  /** Time before which no worker is forked in place of a dead one, monotonic ms. */
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

  /** Delay of the first step, ms; 0 if no step has failed. Used for the workers still missing when one is ready. */
  baseDelayMs(): number {
    return backoffMs(Math.min(1, this.#step), this.settings, this.random)
  }
}
