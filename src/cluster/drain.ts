import type { Logger } from '../options'
import { inWords } from '../report/host-code'
import type { Doors } from './doors'
import type { CleanContext, CleanFunction, ClusterSettings } from './options'

export interface DrainParts {
  readonly doors: Doors
  readonly cleanFunc: CleanFunction | undefined
  readonly settings: Pick<ClusterSettings, 'killTimeoutMs' | 'lingerMs'>
  readonly report: Logger
}

/**
 * Ends a worker's work without dropping any: clean-up begins, nothing more is accepted, what has arrived is answered.
 *
 * @returns A promise that resolves when all connections have ended and the application has cleaned up.
 */
export async function drain(reason: CleanContext['reason'], parts: DrainParts): Promise<void> {
  const { doors, cleanFunc, settings, report } = parts
  let tellDrained!: () => void
  const drained = new Promise<void>((resolve) => (tellDrained = resolve))
  doors.holdIdle()
  const cleaned = clean(cleanFunc, { reason, drained }, report)
  await doors.close(settings.lingerMs ?? longestLinger(settings.killTimeoutMs))
  tellDrained()
  await cleaned
}

/**
 * Idle connections are left alone for as long as can be: Node ends them by itself when their server's `keepAliveTimeout` is
 * over, and the worker must be gone before its deadline.
 */
export function longestLinger(killTimeoutMs: number): number {
  return Math.max(killTimeoutMs - 500, killTimeoutMs * 0.8)
}

/** A clean-up that fails is told, and the drain goes on. */
async function clean(
  cleanFunc: CleanFunction | undefined,
  context: CleanContext,
  report: Logger,
): Promise<void> {
  try {
    await cleanFunc?.(context)
  } catch (error) {
    report.error(`cleanFunc failed in the worker with pid ${process.pid}: ${inWords(error)}`)
  }
}
