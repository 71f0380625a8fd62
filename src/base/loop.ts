import { Promise } from './globals'
import { clearTimeout, setTimeout } from './timers'

/**
 * Does the same work again and again, never twice at once.
 *
 * The timer is one-shot and re-armed after the work, so a slow round delays the next instead of overlapping it, and
 * unref'd, so it keeps no process alive.
 *
 * @param intervalMs - From the end of one round to the beginning of the next.
 * @param round - Must not reject.
 * @returns The undoing; it resolves when a round that is under way has ended.
 */
export function startLoop(intervalMs: number, round: () => Promise<void>): () => Promise<void> {
  let isStopped = false
  let timer: NodeJS.Timeout | undefined
  let current: Promise<void> = Promise.resolve()
  const arm = () => {
    if (isStopped) return
    timer = setTimeout(() => {
      current = round().then(arm)
    }, intervalMs)
    timer.unref()
  }
  current = round().then(arm)
  return async () => {
    isStopped = true
    clearTimeout(timer)
    await current
  }
}
