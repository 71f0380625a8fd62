import { messageOf, Promise } from '../base/globals'
import { clearTimeout, setTimeout, startLoop, systemClock } from '../base/time'
import type { Report } from '../dispatch/events'
import { kindOf } from '../options/read'
import type { Watch } from '../watch/watch'
import type { RuleToRead } from './rules'

/** Time within which the function of a rule must return its number, ms. After that time the reading counts as failed. */
export const FUNCTION_DEADLINE_MS = 10_000

/**
 * Calls the functions that are the metric of a rule, each at the interval of its rule, and passes the returned numbers to
 * `watch`, as readings of that rule.
 *
 * If a function throws, rejects, returns no finite number or does not settle before its deadline, one failure is reported.
 * Further failures of that function are not reported until it has returned a number again. A function is not called again before
 * the promise of its previous call has settled.
 *
 * @returns A function that stops the calls.
 */
export function startRuleFunctions(
  rules: readonly RuleToRead[],
  watch: Pick<Watch, 'observe'>,
  report: Pick<Report, 'failure' | 'notice'>,
  deadlineMs = FUNCTION_DEADLINE_MS,
): () => Promise<void> {
  const stops = rules.flatMap((rule) => {
    const { read } = rule
    return read ? [startLoop(rule.intervalMs, createRound(rule, read, watch, report, deadlineMs))] : []
  })
  return async () => {
    await Promise.all(stops.map((stop) => stop()))
  }
}

function createRound(
  { name }: RuleToRead,
  read: NonNullable<RuleToRead['read']>,
  watch: Pick<Watch, 'observe'>,
  report: Pick<Report, 'failure' | 'notice'>,
  deadlineMs: number,
): () => Promise<void> {
  let isFailing = false
  let isPending = false
  return async () => {
    if (isPending) return
    const beganMs = systemClock.monotonicMs()
    try {
      isPending = true
      // The promise's executor turns an error of the function into a rejection.
      const reading = new Promise<unknown>((resolve) => resolve(read()))
      const done = (): void => void (isPending = false)
      reading.then(done, done)
      const value = await within(reading, deadlineMs)
      if (typeof value !== 'number' || !Number.isFinite(value))
        throw new TypeError(`the function returned ${kindOf(value)}, not a finite number`)
      if (isFailing) report.notice(`${name} readings work again`)
      isFailing = false
      watch.observe(name, value, beganMs)
    } catch (error) {
      if (!isFailing) report.failure({ stage: 'sampling', rule: name, message: messageOf(error), error })
      isFailing = true
    }
  }
}

function within<Value>(reading: Promise<Value>, deadlineMs: number): Promise<Value> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`the function has not returned a number within ${deadlineMs} ms`)),
      deadlineMs,
    ).unref()
    reading.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
