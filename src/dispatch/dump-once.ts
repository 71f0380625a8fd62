import type { Captured, Capturer, Job, Refusal } from '../capture/capture'
import { ownOnly, owns } from '../base/globals'

/** One dump, from the plan to the file. */
export interface DumpOnce<Declined extends { readonly declined: unknown }> {
  readonly capturer: Capturer
  readonly directory: string
  /** Ends a CPU profile before its time, with a whole file. */
  readonly early: AbortSignal
  /** Called when the dump fits and is about to begin. Describes it, or declines it. */
  readonly begin: () => Job | Declined
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
export async function dumpOnce<Declined extends { readonly declined: unknown } = never>({
  capturer,
  directory,
  early,
  begin,
}: DumpOnce<Declined>): Promise<DumpOutcome | Declined> {
  const plan = ownOnly(await capturer.plan(directory))
  if (!('take' in plan)) return { captured: undefined, refusal: plan }
  const job = begin()
  if (isDeclined(job)) return job
  const captured = ownOnly(await plan.take(job, early))
  if ('skip' in captured) return { captured: undefined, refusal: captured }
  // The refusal of the capture is the later one: its numbers decided.
  return { captured, refusal: captured.refusal ?? plan.refusal }
}

function isDeclined<Declined extends object>(begun: Job | Declined): begun is Declined {
  return owns(begun, 'declined')
}
