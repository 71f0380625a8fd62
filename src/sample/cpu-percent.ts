/** CPU time that a process had used up at some moment. */
export interface CpuMark {
  /** Monotonic clock, ms. */
  readonly nowMs: number
  /** CPU time since the process started, ms. */
  readonly cpuMs: number
}

/** CPU time in `/proc` grows in steps of 10 ms: over a shorter time, a percentage is noise. */
export const SHORTEST_SPAN_MS = 10

/**
 * CPU use between two marks.
 *
 * @returns Percent of one core (250 is two and a half cores), or `undefined` when the marks are closer than
 * {@link SHORTEST_SPAN_MS}.
 */
export function cpuPercent(from: CpuMark, to: CpuMark): number | undefined {
  const spanMs = to.nowMs - from.nowMs
  if (!(spanMs >= SHORTEST_SPAN_MS)) return undefined
  return (Math.max(0, to.cpuMs - from.cpuMs) / spanMs) * 100
}
