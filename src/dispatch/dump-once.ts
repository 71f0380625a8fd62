import { ownOnly, owns } from '../base/globals'
import type { Captured, Capturer, Job, Refusal } from '../capture/capture'

/** The parts of one dump, from the plan to the file. */
export interface DumpOnce<Declined extends { readonly declined: unknown }> {
  readonly capturer: Capturer
  readonly directory: string
  /** Ends a CPU profile early, with a whole file. */
  readonly early: AbortSignal
  /**
   * Waits until no other process under the same memory limit takes a heap snapshot, and returns the function that lets
   * the next process do so; `undefined` after the longest wait. Absent for dumps that need not wait.
   */
  readonly takeTurn?: ((early: AbortSignal) => Promise<(() => void) | undefined>) | undefined
  /** Called when the dump fits and is about to begin. Returns its job, or declines it. */
  readonly begin: () => Job | Declined | Promise<Job | Declined>
}

/** Outcome of a dump to report: a result, a refusal, or both when only a lesser artefact was made. */
export type DumpOutcome =
  | { readonly captured: Captured; readonly refusal: Refusal | undefined }
  | { readonly captured: undefined; readonly refusal: Refusal }

/**
 * Plans a dump, takes it, and decides what to report. A failure that left a lesser artefact is in `captured.failure`.
 *
 * @throws When nothing could be captured.
 */
export async function dumpOnce<Declined extends { readonly declined: unknown } = never>(
  dump: DumpOnce<Declined>,
): Promise<DumpOutcome | Declined> {
  if (!dump.takeTurn) return planAndTake(dump)
  // Waited for before the plan: memory that another process's dump uses now is not available.
  const endTurn = await dump.takeTurn(dump.early)
  if (!endTurn) return { captured: undefined, refusal: { skip: 'busy', numbers: {} } }
  try {
    return await planAndTake(dump)
  } finally {
    endTurn()
  }
}

async function planAndTake<Declined extends { readonly declined: unknown }>({
  capturer,
  directory,
  early,
  begin,
}: DumpOnce<Declined>): Promise<DumpOutcome | Declined> {
  const plan = ownOnly(await capturer.plan(directory))
  if (!('take' in plan)) return { captured: undefined, refusal: plan }
  const job = await begin()
  if (isDeclined(job)) return job
  const captured = ownOnly(await plan.take(job, early))
  if ('skip' in captured) return { captured: undefined, refusal: captured }
  // The capture's refusal is later than the plan's: its numbers decided.
  return { captured, refusal: captured.refusal ?? plan.refusal }
}

function isDeclined<Declined extends object>(begun: Job | Declined): begun is Declined {
  return owns(begun, 'declined')
}
