import { messageOf } from '../../base/globals'
import { setTimeout } from '../../base/time'
import type { Logger } from '../../report/listeners'
import type { DrainReason } from '../plan/events'
import type { Doors } from './servers'

/** What `cleanFunc` gets. */
export interface CleanContext {
  /** Why the worker drains; `'orphaned'`: the primary is gone. */
  readonly reason: DrainReason | 'orphaned'
  /** Resolves when the last connection has ended and no more can come. Close what requests still need only after it. */
  readonly drained: Promise<void>
}

/** Called in a worker as soon as it drains. What it returns is awaited, up to the worker's deadline. */
export type CleanFunction = (context: CleanContext) => unknown

/**
 * A primary's own code that hands sockets to its workers may go on to hand them to one that drains: clients with a session
 * there come back to it. It takes them until it has none left, at most for this share of its time, so that the last request
 * has the other half.
 */
const HAND_OVER_SHARE = 0.5

interface DrainSettings {
  readonly killTimeoutMs: number
  /** `undefined`: as long as `killTimeoutMs` allows. */
  readonly lingerMs: number | undefined
}

export interface DrainParts {
  readonly doors: Doors
  /** Resolves when the primary can hand this worker no more sockets and all that it handed have arrived. Idempotent. */
  readonly cutOff: () => Promise<void>
  readonly cleanFunc: CleanFunction | undefined
  readonly settings: DrainSettings
  readonly report: Logger
}

/**
 * Ends a worker's work without dropping any of it: clean-up begins, no connection is accepted any more, requests that have
 * arrived are answered.
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
 * The longest time for which idle connections can be left alone: the worker must be gone before its deadline. Node itself ends
 * them when their server's `keepAliveTimeout` is over.
 */
export function longestLinger(killTimeoutMs: number): number {
  return Math.max(killTimeoutMs - 500, killTimeoutMs * 0.8)
}

/** A clean-up that fails is logged, and the drain goes on. */
async function clean(
  cleanFunc: CleanFunction | undefined,
  context: CleanContext,
  report: Logger,
): Promise<void> {
  try {
    await cleanFunc?.(context)
  } catch (error) {
    report.error(`cleanFunc failed in the worker with pid ${process.pid}: ${messageOf(error)}`)
  }
}
