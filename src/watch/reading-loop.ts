import type { Clock } from '../base/clock'
import { messageOf } from '../base/error-text'
import { startLoop } from '../base/loop'
import type { Dispatcher } from '../dispatch/dispatcher'
import type { DumpKind, Report } from '../dispatch/events'
import type { Sampler } from '../system/usage'

export interface ReadingLoopParts {
  readonly kind: DumpKind
  readonly intervalMs: number
  readonly sampler: Sampler
  readonly dispatcher: Pick<Dispatcher, 'observe'>
  readonly clock: Pick<Clock, 'monotonicMs'>
  readonly report: Pick<Report, 'failure' | 'notice'>
}

/**
 * Reads one kind of use at its interval and hands each reading to the dispatcher.
 *
 * Reports when readings begin to fail and when they succeed again; a failed reading never ends the loop.
 *
 * @returns Stops the loop; resolves when a reading under way has ended.
 */
export function startReadingLoop(parts: ReadingLoopParts): () => Promise<void> {
  const { kind, intervalMs, sampler, dispatcher, clock, report } = parts
  let isFailing = false
  let previousMs: number | undefined
  return startLoop(intervalMs, async () => {
    const beganMs = clock.monotonicMs()
    try {
      const value = await sampler.sample()
      // CPU use is a mean since the previous reading, memory a moment.
      if (value !== undefined) {
        dispatcher.observe(kind, value, kind === 'cpu' ? (previousMs ?? beganMs) : beganMs)
      }
      if (isFailing) report.notice(`${kind} readings are back`)
      isFailing = false
      previousMs = beganMs
    } catch (error) {
      if (!isFailing) {
        const message = messageOf(error)
        report.failure({ stage: 'sampling', kind, message, error })
      }
      isFailing = true
      previousMs = undefined
    }
  })
}
