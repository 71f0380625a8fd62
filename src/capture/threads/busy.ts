/** CPU time within {@link BUSY_WINDOW_MS} that makes a worker busy, ms. */
export const BUSY_MS = 50
export const BUSY_WINDOW_MS = 1000

/** Most workers that one dump profiles: each takes memory of this thread and a file. */
export const MOST_WORKER_PROFILES = 16

/** Decides by its CPU time, in readings of any distance, whether a worker is busy. */
export class BusyWatch {
  #sinceMs: number
  #cpuMs: number

  constructor(nowMs: number, cpuMs: number) {
    this.#sinceMs = nowMs
    this.#cpuMs = cpuMs
  }

  /** @returns Whether it was busy within the window that has begun, or has just ended. */
  isBusy(nowMs: number, cpuMs: number): boolean {
    if (cpuMs - this.#cpuMs >= BUSY_MS) return true
    if (nowMs - this.#sinceMs >= BUSY_WINDOW_MS) {
      this.#sinceMs = nowMs
      this.#cpuMs = cpuMs
    }
    return false
  }
}

/** Puts what has used the most CPU first. */
export function guiltiestFirst<Thread extends { readonly busyMs: number }>(
  threads: readonly Thread[],
): Thread[] {
  return [...threads].sort((one, other) => other.busyMs - one.busyMs)
}

/** How many workers may be profiled when each profile may take that many bytes of the disk. */
export function mostProfiles(profileBytes: number, freeBytes: number): number {
  return Math.max(0, Math.min(MOST_WORKER_PROFILES, Math.floor(freeBytes / profileBytes)))
}
