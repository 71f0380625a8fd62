import { messageOf } from '../core/message-of'
import { writeHeapSnapshot } from 'node:v8'
import { join } from 'node:path'
import { partialName } from '../core/names'
import type { Artefact } from '../files/artefact'
import { publishArtefactSync } from '../files/open-artefact'
import { attempt, removePartial, type PartialArtefact } from '../files/partial'
import { runSync } from '../files/step'
import type { PassedOver } from './capture'
import type { HeapSampler } from './heap-sampler'
import { SAMPLING_INTERVAL_BYTES, SAMPLING_WAY } from './heap-sampling'
import type { SamplerState } from './main-thread'
import { overwrite } from './overwrite'
import { monotonicMs } from '../time/clock'
import { owns, toJson } from '../time/globals'

/** As it stands in the `.json` and in the start line. */
export const FORK_WAY = 'fork'

/** What became of one file in the child: published, or why not. */
export type ChildFile = { readonly sizeBytes: number } | { readonly failed: string }

/** What the child says when it ends by itself. */
export interface ChildReport {
  readonly profile?: ChildFile
  readonly snapshot: ChildFile
  /** Whether the sampling heap profiler still ran. */
  readonly sampler?: SamplerState
  readonly peakBytes: number
}

/** A report has to fit into a pipe: reasons are cut. */
const LONGEST_REASON = 500

export interface ForkJob {
  readonly snapshot: PartialArtefact
  readonly profile?: PartialArtefact
  readonly passedOver: readonly PassedOver[]
  /** How long the application has stood still for this dump before this fork, ms. */
  readonly pausedBeforeMs: number
}

/**
 * What the forked child does, all of it synchronously: it has no other thread, no thread pool and no event loop.
 *
 * The sampling profile comes first, so that some evidence exists whatever becomes of the snapshot. The full collection that
 * it forces happens in the child and costs the application nothing.
 *
 * @param forkPauseMs - How long the application stood still for this fork, ms. Asked for late, when it is over.
 * @returns A `ChildReport`, as JSON.
 */
export function writeDumpInChild(job: ForkJob, sampler: HeapSampler, forkPauseMs: () => number): string {
  const pauseMs = (): number => job.pausedBeforeMs + forkPauseMs()
  const profile =
    job.profile && publishOrRemove(job.profile, (file) => writeProfile(job, file, sampler, pauseMs))
  const passedOver = [...job.passedOver, ...missing(profile)]
  const snapshot = publishOrRemove(job.snapshot, (file) =>
    writeSnapshot({ ...job, passedOver }, file, pauseMs),
  )
  const report: ChildReport = {
    ...(profile && { profile, sampler: sampler.state() }),
    snapshot,
    peakBytes: peakBytes(),
  }
  return toJson(report)
}

/** Why there is no sampling profile beside the snapshot, for the evidence. */
export function missing(profile: ChildFile | undefined): readonly PassedOver[] {
  return profile && owns(profile, 'failed') ? [{ way: SAMPLING_WAY, why: profile.failed }] : []
}

/** Removes what failed itself: the application, which would do it too, may be gone. */
function publishOrRemove(partial: PartialArtefact, write: (partial: PartialArtefact) => Artefact): ChildFile {
  try {
    return { sizeBytes: write(partial).sizeBytes }
  } catch (error) {
    runSync(attempt(removePartial(partial)))
    const reason = messageOf(error)
    return { failed: reason.slice(0, LONGEST_REASON) }
  }
}

/** The most memory that this process ever had, what it still shares with the application counted in. */
function peakBytes(): number {
  return process.resourceUsage().maxRSS * 1024
}

function writeProfile(
  { passedOver }: ForkJob,
  partial: PartialArtefact,
  sampler: HeapSampler,
  pauseMs: () => number,
): Artefact {
  const startedAtMs = monotonicMs()
  const { samples, json } = sampler.read()
  if (samples === 0) throw new Error('the sampling heap profiler has seen nothing')
  overwrite(join(partial.directory, partialName(partial.fileName)), json)
  const from = { sampler: sampler.state(), inForkedChild: true }
  const notes = { samplingIntervalBytes: SAMPLING_INTERVAL_BYTES, samples, ...from }
  const durationMs = monotonicMs() - startedAtMs
  return publishArtefactSync(partial, {
    way: SAMPLING_WAY,
    passedOver,
    pauseMs: pauseMs(),
    durationMs,
    notes,
  })
}

function writeSnapshot({ passedOver }: ForkJob, partial: PartialArtefact, pauseMs: () => number): Artefact {
  const startedAtMs = monotonicMs()
  writeHeapSnapshot(join(partial.directory, partialName(partial.fileName)))
  const durationMs = monotonicMs() - startedAtMs
  const notes = { childPeakBytes: peakBytes() }
  return publishArtefactSync(partial, { way: FORK_WAY, passedOver, pauseMs: pauseMs(), durationMs, notes })
}
