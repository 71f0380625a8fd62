/** Share of the time from which on a worker is busy: 50 ms of CPU within a second. */
export const BUSY_SHARE = 0.05
/** Longest time over which the share is taken, ms. */
export const BUSY_WINDOW_MS = 1000
/** CPU time below which a worker is not busy, however short the time, ms: a timer or a collection takes that long. */
export const LEAST_BUSY_MS = 15

/** Number of workers that one dump profiles, at most: each takes memory of this thread and a file. */
export const MOST_WORKER_PROFILES = 16

/** Decides from readings of a worker's CPU time, at any intervals, whether the worker is busy. */
export class BusyWatch {
  #sinceMs: number
  #cpuMs: number

  constructor(nowMs: number, cpuMs: number) {
    this.#sinceMs = nowMs
    this.#cpuMs = cpuMs
  }

  /** @returns Whether the worker was busy within the window that has begun, or has just ended. */
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

/** Sorts threads by CPU time, largest first. */
export function guiltiestFirst<Thread extends { readonly busyMs: number }>(
  threads: readonly Thread[],
): Thread[] {
  return [...threads].sort((one, other) => other.busyMs - one.busyMs)
}

/** Number of workers that may be profiled when each profile takes up to `profileBytes` of the disk. */
export function mostProfiles(profileBytes: number, freeBytes: number): number {
  return Math.max(0, Math.min(MOST_WORKER_PROFILES, Math.floor(freeBytes / profileBytes)))
}
