import type { Clock } from '../base/clock'
import { messageOf } from '../base/error-text'
import { startLoop } from '../base/loop'
import type { Dispatcher } from '../dispatch/dispatcher'
import type { Failure, Report } from '../dispatch/events'
import type { Sampler } from '../system/usage'

export interface ReadingLoopParts {
  /** Of the rule that the readings are for. */
  readonly name: string
  readonly intervalMs: number
  /** A reading is a mean since the previous one, not of a moment. */
  readonly isMean: boolean
  readonly sampler: Sampler
  readonly dispatcher: Pick<Dispatcher, 'observe'>
  readonly clock: Pick<Clock, 'monotonicMs'>
  readonly report: Pick<Report, 'failure' | 'notice'>
  /** Called before each reading. Must not throw. */
  readonly onReading?: () => void
}

/**
 * Takes the readings of one rule at its interval and hands each reading to the dispatcher.
 *
 * Reports when readings begin to fail and when they succeed again; a failed reading never ends the loop.
 *
 * @returns Stops the loop; resolves when a reading under way has ended.
 */
export function startReadingLoop(parts: ReadingLoopParts): () => Promise<void> {
  const { name, intervalMs, isMean, sampler, dispatcher, clock, report, onReading } = parts
  let isFailing = false
  let previousMs: number | undefined
  return startLoop(intervalMs, async () => {
    const beganMs = clock.monotonicMs()
    try {
      onReading?.()
      const value = await sampler.sample()
      if (value !== undefined) dispatcher.observe(name, value, isMean ? (previousMs ?? beganMs) : beganMs)
      if (isFailing) report.notice(`${name} readings are back`)
      isFailing = false
      previousMs = beganMs
    } catch (error) {
      if (!isFailing) {
        const message = messageOf(error)
        report.failure({ stage: 'sampling', ...ruleOf(name), message, error })
      }
      isFailing = true
      previousMs = undefined
    }
  })
}

function ruleOf(name: string): Pick<Failure, 'kind' | 'rule'> {
  return name === 'cpu' || name === 'memory' ? { kind: name } : { rule: name }
}
