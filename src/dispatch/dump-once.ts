import { ownOnly, owns } from '../base/globals'
import type { Captured, Capturer, Job, Refusal } from '../capture/capture'

/** One dump, from the plan to the file. */
export interface DumpOnce<Declined extends { readonly declined: unknown }> {
  readonly capturer: Capturer
  readonly directory: string
  /** Ends a CPU profile before its time, with a whole file. */
  readonly early: AbortSignal
  /**
   * Waits until no other process under the same memory limit dumps its heap, and returns what ends the turn; `undefined` when
   * it has waited long enough. Absent for dumps that take no turns.
   */
  readonly takeTurn?: ((early: AbortSignal) => Promise<(() => void) | undefined>) | undefined
  /** Called when the dump fits and is about to begin. Describes it, or declines it. */
  readonly begin: () => Job | Declined | Promise<Job | Declined>
}

/** What to report of a dump: a result, a refusal, or both when only a lesser artefact was made. */
export type DumpOutcome =
  | { readonly captured: Captured; readonly refusal: Refusal | undefined }
  | { readonly captured: undefined; readonly refusal: Refusal }

/**
 * Plans a dump, takes it, and decides what to report. A failure beside a lesser artefact is in `captured.failure`.
 *
 * @throws When nothing could be captured.
 */
export async function dumpOnce<Declined extends { readonly declined: unknown } = never>(
  dump: DumpOnce<Declined>,
): Promise<DumpOutcome | Declined> {
  if (!dump.takeTurn) return planAndTake(dump)
  // Before the plan: memory that a neighbour's dump takes is not there.
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
  // The refusal of the capture is the later one: its numbers decided.
  return { captured, refusal: captured.refusal ?? plan.refusal }
}

function isDeclined<Declined extends object>(begun: Job | Declined): begun is Declined {
  return owns(begun, 'declined')
}
