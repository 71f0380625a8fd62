import { messageOf } from '../../base/globals'
import { setTimeout } from '../../base/time'
import type { Logger } from '../../report/listeners'
import type { DrainReason } from '../plan/events'
import type { Doors } from './servers'

/** Argument of `cleanFunc`. */
export interface CleanContext {
  /**
   * Why the worker drains. `'over'`: it is above the memory limit. `'hard-limit'`: it is above `hardLimit`. `'asked'`: it got
   * a signal, or the application called its `disconnect()`. `'stop'`: the cluster stops. `'orphaned'`: the primary is gone.
   */
  readonly reason: DrainReason | 'orphaned'
  /** Resolves when the last connection has ended and no more can come. Close database connections and the like only then. */
  readonly drained: Promise<void>
}

/** Function called in a worker as soon as the worker begins to drain. Its result is awaited for at most `killTimeout`. */
export type CleanFunction = (context: CleanContext) => unknown

/**
 * Share of `killTimeoutMs`, 0 to 1, for which a draining worker still takes sockets that the application's code in the
 * primary hands to it, because clients with a session in this worker come back to it. The rest is left for the last request.
 */
const HAND_OVER_SHARE = 0.5

interface DrainSettings {
  readonly killTimeoutMs: number
  /** Time for which idle connections are kept, ms; `undefined`: as long as `killTimeoutMs` allows. */
  readonly lingerMs: number | undefined
}

export interface DrainParts {
  readonly doors: Doors
  /** Asks the primary to send this worker no more sockets; resolves when all that it has sent have arrived. Idempotent. */
  readonly cutOff: () => Promise<void>
  readonly cleanFunc: CleanFunction | undefined
  readonly settings: DrainSettings
  readonly report: Logger
}

/**
 * Finishes a worker's work without dropping a request: calls `cleanFunc`, accepts no more connections, and lets the
 * requests that have arrived be answered.
 *
 * @returns A promise that resolves when all connections have ended and the application has cleaned up.
 */
export async function drain(reason: CleanContext['reason'], parts: DrainParts): Promise<void> {
  const { doors, cutOff, cleanFunc, settings, report } = parts
  let resolveDrained!: () => void
  const drained = new Promise<void>((resolve) => (resolveDrained = resolve))
  doors.prepare()
  const cleaned = clean(cleanFunc, { reason, drained }, report)
  setTimeout(() => void cutOff(), settings.killTimeoutMs * HAND_OVER_SHARE).unref()
  await doors.close(settings.lingerMs ?? longestLinger(settings.killTimeoutMs))
  await cutOff()
  await doors.empty()
  resolveDrained()
  await cleaned
}

/**
 * Returns the longest time for which a draining worker can keep idle connections, ms, so that it still ends before its
 * deadline. Node itself may end them earlier, after their server's `keepAliveTimeout`.
 */
export function longestLinger(killTimeoutMs: number): number {
  return Math.max(killTimeoutMs - 500, killTimeoutMs * 0.8)
}

/** Calls `cleanFunc`. If it fails, its error is logged, and the drain goes on. */
async function clean(
  cleanFunc: CleanFunction | undefined,
  context: CleanContext,
  report: Logger,
): Promise<void> {
  try {
    await cleanFunc?.(context)
  } catch (error) {
    report.error(
      `cleanFunc failed in the worker with pid ${process.pid}, which goes on draining: ${messageOf(error)}`,
    )
  }
}
