import { ownOnly, owns } from '../base/globals'
import type { Captured, Capturer, Job, Refusal } from '../capture/capture'

/** Parameters of {@link dumpOnce}. */
export interface DumpOnce<Declined extends { readonly declined: unknown }> {
  readonly capturer: Capturer
  readonly directory: string
  /** When aborted, a CPU profile ends before its time; its file is complete. */
  readonly early: AbortSignal
  /**
   * Waits until no other process under the same memory limit takes a heap snapshot. Resolves to a function that lets the
   * next process take one, or to `undefined` if the longest wait is over: no dump is then made. Absent for dumps that need not
   * wait.
   */
  readonly takeTurn?: ((early: AbortSignal) => Promise<(() => void) | undefined>) | undefined
  /**
   * Called when there is enough memory and disk, before the capture. Returns the parameters of the capture, or, if no dump is
   * to be made, an object with the key `declined`, which {@link dumpOnce} returns.
   */
  readonly begin: () => Job | Declined | Promise<Job | Declined>
}

/** Outcome of a dump: its files, a refusal, or both when only a lesser file was made (a profile instead of a snapshot). */
export type DumpOutcome =
  | { readonly captured: Captured; readonly refusal: Refusal | undefined }
  | { readonly captured: undefined; readonly refusal: Refusal }

/**
 * Plans a dump, makes it, and returns the outcome to report. If the planned file failed but a lesser one exists,
 * `captured.failure` is the error.
 *
 * @throws When nothing could be captured.
 */
export async function dumpOnce<Declined extends { readonly declined: unknown } = never>(
  dump: DumpOnce<Declined>,
): Promise<DumpOutcome | Declined> {
  if (!dump.takeTurn) return planAndTake(dump)
  // Waits before the plan is made: memory that the dump of another process uses now would count as unavailable.
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
  // If plan and capture both refused the better file, the capture measured memory and disk last.
  return { captured, refusal: captured.refusal ?? plan.refusal }
}

function isDeclined<Declined extends object>(begun: Job | Declined): begun is Declined {
  return owns(begun, 'declined')
}
