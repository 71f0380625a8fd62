/** CPU time within {@link BUSY_WINDOW_MS} that makes a worker busy, ms. */
export const BUSY_MS = 50
export const BUSY_WINDOW_MS = 1000

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
    if (cpuMs - this.#cpuMs >= BUSY_MS) return true
    if (nowMs - this.#sinceMs >= BUSY_WINDOW_MS) {
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
