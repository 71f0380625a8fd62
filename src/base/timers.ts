import * as nodeTimers from 'node:timers'
import { Promise } from './globals'

/**
 * Node's timers as they were when this module was loaded. Applications and their tests replace the global ones. With a fake
 * clock a watch would watch nothing, a dump would never end, and missing beats would look like a blocked loop.
 */
export const { setTimeout, clearTimeout, setInterval, clearInterval, setImmediate } = nodeTimers

/** Resolves after that time, or as soon as the signal is aborted. Keeps no process alive. */
export function pause(delayMs: number, early?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer)
      early?.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, delayMs).unref()
    if (early?.aborted) end()
    else early?.addEventListener('abort', end)
  })
}
