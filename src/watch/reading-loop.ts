import { messageOf } from '../core/message-of'
import type { Clock, Dispatcher } from '../dispatch/dispatcher'
import type { DumpKind, Report } from '../dispatch/events'
import type { Sampler } from '../sample/sampler'
import { startLoop } from './loop'

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
 * A reading that fails is told when the failing begins and when it ends; it never ends the loop.
 *
 * @returns The undoing; it resolves when the sampler has given back its descriptors.
 */
export function startReadingLoop(parts: ReadingLoopParts): () => Promise<void> {
  const { kind, intervalMs, sampler, dispatcher, clock, report } = parts
  let isFailing = false
  let previousMs: number | undefined
  const stopLoop = startLoop(intervalMs, async () => {
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
  return async () => {
    await stopLoop()
    await sampler.close()
  }
}
