/** A worker thread is busy if it uses at least this share of one CPU: 0.05 is 50 ms within a second. */
export const BUSY_SHARE = 0.05
/** Longest time over which the CPU share of a worker is measured, ms. */
export const BUSY_WINDOW_MS = 1000
/** Minimum CPU time of a busy worker, even within a short window, ms: a timer or a GC alone can use nearly as much. */
export const LEAST_BUSY_MS = 15

/** Number of workers that one dump profiles, at most: each profile takes memory of the calling thread, and a file. */
export const MOST_WORKER_PROFILES = 16

/** Decides from readings of a worker's CPU time, at any intervals, whether the worker is busy. */
export class BusyWatch {
  #sinceMs: number
  #cpuMs: number

  constructor(nowMs: number, cpuMs: number) {
    this.#sinceMs = nowMs
    this.#cpuMs = cpuMs
  }

  /** @returns Whether the worker was busy since the window began. A window ends with the first reading after 1000 ms. */
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
