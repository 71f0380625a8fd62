import { messageOf } from '../../base/globals'
import { setTimeout } from '../../base/time'
import type { Logger } from '../../report/listeners'
import type { DrainReason } from '../plan/events'
import type { Doors } from './servers'

/** Argument of `cleanFunc`. */
export interface CleanContext {
  /** Why the worker drains; `'orphaned'`: the primary is gone. */
  readonly reason: DrainReason | 'orphaned'
  /** Resolves when the last connection has ended and no more can come. Close what requests need only afterwards. */
  readonly drained: Promise<void>
}

/** Function called in a worker as soon as the worker begins to drain. Its result is awaited, up to the worker's deadline. */
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
  /** Asks the primary to hand over no more sockets; resolves when those that it has handed over have arrived. Idempotent. */
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
 * Longest time for which idle connections can be kept, ms: the worker must end before its deadline. Node itself ends
 * them after their server's `keepAliveTimeout`.
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
