/** An eighth of a millisecond, µs: a fraction of a millisecond that a floating-point number holds without error. */
const STEP_US = 125

/** The times of a CPU profile, µs. */
interface Times {
  startTime: number
  endTime: number
  timeDeltas: number[]
}

/**
 * The text of a CPU profile with its times rounded to eighths of a millisecond, the sum of the deltas to within one of
 * them; any other text as it is.
 *
 * DevTools converts microseconds to milliseconds and back. Of two calls one after the other, the first may then end some
 * 10^-5 µs after the second begins. Bottom-up takes the second for a callee of the first: it subtracts its whole time from
 * the first, leaves out rows that are negative by that, and does not subtract it from the caller, which then has the
 * time a second time. A caller of 0.6 ms was shown with 1,006 ms above its callee with 969 ms of a profile of 1,031 ms.
 */
export function withExactTimes(text: string): string {
  const profile = parsed(text)
  if (profile === undefined) return text
  let exact = 0
  let shown = 0
  const timeDeltas = profile.timeDeltas.map((delta) => {
    exact += delta
    const step = rounded(exact) - shown
    shown += step
    return step
  })
  const startTime = rounded(profile.startTime)
  const endTime = startTime + rounded(profile.endTime - profile.startTime)
  return JSON.stringify({ ...profile, startTime, endTime, timeDeltas })
}

function rounded(us: number): number {
  return Math.round(us / STEP_US) * STEP_US
}

function parsed(text: string): Times | undefined {
  try {
    const profile = JSON.parse(text) as Partial<Times>
    return Array.isArray(profile.timeDeltas) ? (profile as Times) : undefined
  } catch {
    return undefined
  }
}
