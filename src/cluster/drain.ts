import type { Logger } from '../options'
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
  await doors.close(
    (keepAliveTimeoutMs) => settings.lingerMs ?? chooseLinger(keepAliveTimeoutMs, settings.killTimeoutMs),
  )
  tellDrained()
  await cleaned
}

/**
 * Idle connections are left alone for as long as a client may believe in them: the server's `keepAliveTimeout` and a second
 * more, as Node itself adds. But the worker must be gone before its deadline.
 */
export function chooseLinger(keepAliveTimeoutMs: number, killTimeoutMs: number): number {
  const latest = Math.max(killTimeoutMs - 500, killTimeoutMs * 0.8)
  return keepAliveTimeoutMs > 0 ? Math.min(keepAliveTimeoutMs + 1000, latest) : latest
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

function inWords(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
