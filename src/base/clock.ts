/** Node's own, as they were when this module was loaded: applications and their tests replace them, like the timers. */
const readMonotonicNs = process.hrtime.bigint.bind(process.hrtime)
const readEpochMs = Date.now.bind(Date)

/** Only moves forward, ms. The same in all threads of the process, unlike `performance.now()`. */
export function monotonicMs(): number {
  return Number(readMonotonicNs()) / 1e6
}

/** What people read, ms since 1970. */
export function epochMs(): number {
  return readEpochMs()
}
