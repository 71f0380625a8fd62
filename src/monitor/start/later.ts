import { messageOf } from '../../base/globals'
import { loadLate } from '../../base/late'
import { clearTimeout, setTimeout } from '../../base/time'
import type { Settings } from '../options'
import type { Voice } from '../voice'
import { startAtOnce } from './at-once'
import type * as start from './start'
import type { Monitoring } from './start'

/** Time between two attempts to start a monitor, ms. An attempt fails if no file descriptor is free to load code, for example. */
const TRY_AGAIN_MS = 1000

/**
 * Starts the parts of a monitor that cannot wait. The other parts start when the event loop turns for the first time, or at the
 * first call of a method that needs them. Loading their code and starting their thread takes most of the start's time, which
 * would be wasted in a process that ends before its event loop turns, such as many processes of a build or a test run.
 *
 * @throws Error when this process already watches `cpu` or `memory`. Then nothing has been started.
 */
export function startLater(settings: Settings, voice: Voice, isPreloaded: boolean): Monitoring {
  const atOnce = startAtOnce(settings, voice)
  let running: Monitoring | undefined
  let isFailing = false
  let isOver = false
  const now = (): Monitoring =>
    (running ??= loadStart().startMonitoring(settings, voice, isPreloaded, atOnce))
  const tryNow = (): void => {
    if (isOver) return
    clearTimeout(timer)
    try {
      now()
    } catch (error) {
      const message = `not started yet (tried again every second): ${messageOf(error)}`
      if (!isFailing) voice.failure({ stage: 'start', message, error })
      isFailing = true
      timer = setTimeout(tryNow, TRY_AGAIN_MS).unref()
    }
  }
  let timer = setTimeout(tryNow, 0).unref()
  const end = (): void => {
    isOver = true
    clearTimeout(timer)
  }
  return {
    dumpByHand: async (...request) => now().dumpByHand(...request),
    stats() {
      tryNow()
      return running?.stats() ?? { rules: {} }
    },
    update: (changes) => now().update(changes),
    facts: async () => now().facts(),
    async stop() {
      tryNow()
      end()
      if (running) await running.stop()
      else atOnce.stop()
    },
    abandon() {
      end()
      if (running) running.abandon()
      else atOnce.stop()
    },
  }
}

/** Loads the code of the monitor's other parts, which is a separate file in the package. */
export function loadStart(): typeof start {
  return loadLate(() => require('./start') as typeof start)
}
