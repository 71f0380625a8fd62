/** Share of one CPU, 0 to 1, from which a worker thread counts as busy: 0.05 is 50 ms within a second. */
export const BUSY_SHARE = 0.05
/** Time after which the measurement of an idle worker's CPU share starts anew, ms. */
export const BUSY_WINDOW_MS = 1000
/** CPU time below which no worker counts as busy, ms, even in a short time: a timer or a GC alone can use nearly as much. */
export const LEAST_BUSY_MS = 15

/** Maximum number of workers that one dump profiles at once. Each profile takes memory in the calling thread, and a file. */
export const MOST_WORKER_PROFILES = 16

/** Decides from readings of one worker's CPU time, taken at any intervals, whether the worker is busy. */
export class BusyWatch {
  #sinceMs: number
  #cpuMs: number

  constructor(nowMs: number, cpuMs: number) {
    this.#sinceMs = nowMs
    this.#cpuMs = cpuMs
  }

  /**
   * Takes a reading. If at least 1000 ms have passed, a reading that shows an idle worker starts the measurement anew.
   *
   * @returns Whether the worker was busy since the measurement started.
   */
  isBusy(nowMs: number, cpuMs: number): boolean {
    const usedMs = cpuMs - this.#cpuMs
    const passedMs = nowMs - this.#sinceMs
    if (usedMs >= LEAST_BUSY_MS && usedMs >= BUSY_SHARE * passedMs) return true
    if (passedMs >= BUSY_WINDOW_MS) {
      this.#sinceMs = nowMs
      this.#cpuMs = cpuMs
    }
    return false
  }
}

/** Returns the threads sorted by CPU time, largest first. */
export function guiltiestFirst<Thread extends { readonly busyMs: number }>(
  threads: readonly Thread[],
): Thread[] {
  return [...threads].sort((one, other) => other.busyMs - one.busyMs)
}

/** Returns how many workers may be profiled, 0 to 16, when each profile takes up to `profileBytes` of the free disk space. */
export function mostProfiles(profileBytes: number, freeBytes: number): number {
  return Math.max(0, Math.min(MOST_WORKER_PROFILES, Math.floor(freeBytes / profileBytes)))
}
