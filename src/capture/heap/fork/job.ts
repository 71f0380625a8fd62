import { messageOf, owns, toJson } from '../../../base/globals'
import { monotonicMs } from '../../../base/time'
import { type OpenArtefact, reopenArtefact } from '../../../files/artefact'
import { type PartialArtefact, removePartial } from '../../../files/partial'
import type { Artefact } from '../../../files/sidecar'
import { measurePrivatePeak } from '../../../system/proc'
import type { PassedOver } from '../../capture'
import type { SamplerState } from '../../main-thread/orders'
import { writeSnapshotHere } from '../redacted'
import { type HeapSampler, SAMPLING_INTERVAL_BYTES } from '../sampler'
import { SAMPLING_WAY } from '../sampling'
import { FORK_WAY } from './helper'

/** Outcome of one file in the forked child: its size when it is complete, or why it is not. */
export type ChildFile = { readonly sizeBytes: number } | { readonly failed: string }

/** The report that a forked child sends to its parent before it ends. */
export interface ChildReport {
  readonly profile?: ChildFile
  readonly snapshot: ChildFile
  /** State of V8's sampling heap profiler in the child: `stopped` if other code in the application has stopped it. */
  readonly sampler?: SamplerState
  /** Peak of the child's private memory, bytes. Absent where /proc does not show it. */
  readonly peakBytes?: number
}

/** Longest error text in a child's report, characters. Longer ones are cut, because the report may have at most 4096 bytes. */
const LONGEST_REASON = 500

export interface ForkJob {
  readonly snapshot: PartialArtefact
  readonly profile?: PartialArtefact
  readonly passedOver: readonly PassedOver[]
  /** Whether the contents of strings are left out of the snapshot. @default false */
  readonly redact?: boolean
  /** Time for which this dump has paused the application before this fork, ms. */
  readonly pausedBeforeMs: number
}

/**
 * Writes the sampling profile and the snapshot in the forked child, synchronously: the child has no other thread, no
 * thread pool and no event loop.
 *
 * The sampling profile comes first, so that some evidence exists even if the snapshot fails. Reading it forces a full GC as a rule,
 * which runs in the child and so does not pause the application.
 *
 * @param forkPauseMs - Returns the application's pause for this fork, ms; known only after the pause has ended.
 * @returns A `ChildReport`, as JSON.
 */
export function writeDumpInChild(job: ForkJob, sampler: HeapSampler, forkPauseMs: () => number): string {
  const privatePeakBytes = measurePrivatePeak()
  const pauseMs = (): number => job.pausedBeforeMs + forkPauseMs()
  const profile =
    job.profile && publishOrRemove(job.profile, (open) => publishProfile(job, open, sampler, pauseMs))
  const passedOver = [...job.passedOver, ...missing(profile)]
  let peakBytes: number | undefined
  const snapshot = publishOrRemove(job.snapshot, (open) => {
    const startedAtMs = monotonicMs()
    const redacted = writeSnapshotHere(open, job.redact)
    const durationMs = monotonicMs() - startedAtMs
    peakBytes = privatePeakBytes()
    const notes = { ...redacted, ...(peakBytes !== undefined && { childPeakBytes: peakBytes }) }
    return open.publishNow({ way: FORK_WAY, passedOver, pauseMs: pauseMs(), durationMs, notes })
  })
  peakBytes ??= privatePeakBytes()
  const report: ChildReport = {
    ...(profile && { profile, sampler: sampler.state() }),
    snapshot,
    ...(peakBytes !== undefined && { peakBytes }),
  }
  return toJson(report)
}

/** Returns why there is no sampling profile beside the snapshot, as an entry of `passedOver`; nothing if there is one. */
export function missing(profile: ChildFile | undefined): readonly PassedOver[] {
  return profile && owns(profile, 'failed') ? [{ way: SAMPLING_WAY, why: profile.failed }] : []
}

/** Completes a file with `publish`; after an error, removes it. The application would remove it too, but may have ended. */
function publishOrRemove(partial: PartialArtefact, publish: (open: OpenArtefact) => Artefact): ChildFile {
  try {
    return { sizeBytes: publish(reopenArtefact(partial)).sizeBytes }
  } catch (error) {
    removePartial(partial)
    return { failed: messageOf(error).slice(0, LONGEST_REASON) }
  }
}

function publishProfile(
  { passedOver }: ForkJob,
  open: OpenArtefact,
  sampler: HeapSampler,
  pauseMs: () => number,
): Artefact {
  const startedAtMs = monotonicMs()
  const { samples, json } = sampler.read()
  if (samples === 0) throw new Error('the sampling heap profiler has no samples, or was stopped')
  open.write(json)
  const from = { sampler: sampler.state(), inForkedChild: true }
  const notes = { samplingIntervalBytes: SAMPLING_INTERVAL_BYTES, samples, ...from }
  const durationMs = monotonicMs() - startedAtMs
  return open.publishNow({ way: SAMPLING_WAY, passedOver, pauseMs: pauseMs(), durationMs, notes })
}
