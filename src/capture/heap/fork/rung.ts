import { constants } from 'node:os'
import { messageOf, ownOnly, owns } from '../../../base/globals'
import { monotonicMs } from '../../../base/time'
import { type OpenArtefact, openArtefact } from '../../../files/artefact'
import { childDeadlineMs } from '../../../files/expiry'
import { findPublished } from '../../../files/final-name'
import type { Artefact } from '../../../files/sidecar'
import { readChildUsage } from '../../../system/proc'
import { type CaptureObserver, ExitingError, type Refusal } from '../../capture'
import type { PatientMainThread } from '../../main-thread/patient'
import { forkAllowanceBytes, judgeFork, type RoomVerdict, snapshotNeedBytes } from '../../room'
import { NODE_MAJOR, type RoomProbe } from '../../room-probe'
import { type HeapCapture, type HeapDump, type HeapRung, type Incapable, passOver } from '../rung'
import { type HeapSampling, SAMPLING_WAY } from '../sampling'
import { awaitChild, type ChildFailure, type ChildGuard, type ChildOutcome } from './await-child'
import { limitsOfChild } from './child-limits'
import { FORK_WAY, type ForkHelper } from './helper'
import { missing } from './job'

/** Largest number of further forks for one dump, after the first. Each is made only if the previous child got stuck. */
export const FORK_RETRIES = 2

/** Parameters of {@link createForkRung}. */
export interface HeapForkParts {
  readonly helper: ForkHelper
  readonly mainThread: PatientMainThread
  readonly sampling: HeapSampling | undefined
  readonly probe: Pick<RoomProbe, 'memory' | 'isKilledAsOne'>
  readonly observer: CaptureObserver
  /** Whether the contents of strings are left out of snapshots. @default false */
  readonly redact?: boolean | undefined
}

/**
 * Takes heap snapshots in a forked child. The process forks, which takes milliseconds, and goes on. The child writes the
 * sampling profile and then the snapshot from its copy of the heap. It finishes even if the application ends, unless a container or
 * service ends with the application.
 */
export function createForkRung(parts: HeapForkParts): HeapRung {
  return {
    ways: [FORK_WAY],
    fit: (heap, room) => judgeFork(heap.usedBytes, room),
    take: (dump, verdict) => forkUntilWhole(parts, dump, verdict),
  }
}

/** State of one dump, for which the process may be forked several times. */
interface Progress {
  readonly startedAtMs: number
  readonly deadlineMs: number
  forks: number
  pauseMs: number
  /** Files of this dump that a child has completed under their final names; absent until then. */
  snapshot?: Artefact
  profile?: Artefact
}

async function forkUntilWhole(
  parts: HeapForkParts,
  dump: HeapDump,
  verdict: RoomVerdict,
): Promise<HeapCapture | Incapable> {
  const deadlineMs = childDeadlineMs(dump.heap.usedBytes, parts.redact)
  const progress: Progress = { startedAtMs: monotonicMs(), deadlineMs, forks: 0, pauseMs: 0 }
  let room = verdict
  let outcome = await forkOnce(parts, dump, progress, room)
  // No further fork if the child got stuck after its snapshot was complete.
  while (outcome.kind === 'stuck' && !progress.snapshot && progress.forks <= FORK_RETRIES) {
    room = judgeFork(dump.heap.usedBytes, dump.room())
    outcome = await forkOnce(parts, dump, progress, room)
  }
  return conclude(dump, progress, ownOnly(outcome), room)
}

async function forkOnce(
  parts: HeapForkParts,
  dump: HeapDump,
  progress: Progress,
  room: RoomVerdict,
): Promise<ChildOutcome> {
  progress.forks++
  if (!room.fits) return { kind: 'out of memory', why: 'too little memory is left for a fork' }
  const snapshot = open('.heapsnapshot', dump, progress)
  let profile: OpenArtefact | undefined
  try {
    profile = await openProfile(parts, dump, progress)
    const outcome = await runChild(parts, dump, progress, room, { snapshot, profile })
    if (outcome.kind === 'reported' && ownOnly(outcome.report).sampler === 'stopped')
      await parts.sampling?.restart()
    return outcome
  } finally {
    // Check the files rather than the report: a child may complete a file and end without a report.
    keepPublished(progress, 'snapshot', snapshot)
    keepPublished(progress, 'profile', profile)
  }
}

function open(extension: string, { job }: HeapDump, { startedAtMs, deadlineMs }: Progress): OpenArtefact {
  const { where } = job.sidecar
  // The `.json` counts the deadline from the time in the file name, when the dump began. A later fork begins after that time.
  const childDeadlineMs = Math.ceil(monotonicMs() - startedAtMs) + deadlineMs
  const limits = { ...where.limits, childDeadlineMs }
  return openArtefact(job.directory, `${job.baseName}${extension}`, {
    ...job.sidecar,
    where: { ...where, limits },
  })
}

/** Opens the file for the sampling profile, unless sampling is off or failed, or an earlier child has completed that file. */
async function openProfile(
  { sampling }: HeapForkParts,
  dump: HeapDump,
  progress: Progress,
): Promise<OpenArtefact | undefined> {
  if (!sampling || progress.profile) return undefined
  const failure = await sampling.failure()
  if (!failure) return open('.heapprofile', dump, progress)
  passOver(dump.passedOver, SAMPLING_WAY, failure.message)
  return undefined
}

/** Records a file that the child completed under its final name, and removes an unfinished one. */
function keepPublished(
  progress: Progress,
  which: 'snapshot' | 'profile',
  file: OpenArtefact | undefined,
): void {
  if (!file) return
  const published = findPublished(file.partial)
  if (published) progress[which] = published
  file.abandon()
}

async function runChild(
  parts: HeapForkParts,
  { heap, passedOver }: HeapDump,
  progress: Progress,
  room: RoomVerdict,
  { snapshot, profile }: { readonly snapshot: OpenArtefact; readonly profile: OpenArtefact | undefined },
): Promise<ChildOutcome> {
  const { helper, mainThread, probe, observer, redact = false } = parts
  const guard = guardFor(probe, heap.usedBytes, room, progress.deadlineMs)
  progress.pauseMs += survey(helper, mainThread)
  try {
    const forked = await mainThread.order(
      'forkHeapDump',
      {
        snapshot: snapshot.partial,
        ...(profile && { profile: profile.partial }),
        passedOver,
        redact,
        pausedBeforeMs: progress.pauseMs,
        options: limitsOfChild(progress.deadlineMs, guard.allowanceBytes, probe.isKilledAsOne()),
      },
      // If the main thread forks after the wait for this order (request) has failed, the child must still be reaped.
      {
        onTooLate: (late) => {
          if (!owns(late, 'gone')) void awaitChild(helper, late, guard).catch(() => {})
        },
      },
    )
    // The file is gone, perhaps because another user removed it. The kind `ended` avoids a further attempt without a fork,
    // which would pause the application.
    if (owns(forked, 'gone')) return { kind: 'ended', why: forked.gone }
    progress.pauseMs += forked.pauseMs
    observer.childAtWork(forked.pid)
    return await awaitChild(helper, forked, guard).finally(() => observer.childAtWork(undefined))
  } catch (error) {
    if (error instanceof ExitingError) throw error
    return whyNoFork(messageOf(error))
  }
}

const { EAGAIN, ENOMEM, EMFILE, ENFILE } = constants.errno
/**
 * Errors of a fork that do not last: processes, memory or open files are used up for now, perhaps by another user. After them no
 * snapshot is made without a fork: it would pause the application for seconds, and another user could cause this pause at will.
 */
const USED_UP = new Map<number, ChildFailure>([
  [EAGAIN, { kind: 'ended', why: 'the kernel refused the fork: a limit of processes is reached (EAGAIN)' }],
  [ENOMEM, { kind: 'out of memory', why: 'the kernel refused the fork: too little memory is left (ENOMEM)' }],
  [EMFILE, { kind: 'ended', why: 'this process could not fork: it has too many open files (EMFILE)' }],
  [
    ENFILE,
    { kind: 'ended', why: 'this process could not fork: the machine has too many open files (ENFILE)' },
  ],
])

/** Returns why a fork failed. Finds the errno in the helper's message: only the message comes through from another thread. */
function whyNoFork(message: string): ChildFailure {
  const [, errno] = /^fork failed with errno (\d+)$/.exec(message) ?? []
  return USED_UP.get(Number(errno)) ?? { kind: 'failed', why: message }
}

function guardFor(
  probe: HeapForkParts['probe'],
  usedBytes: number,
  { numbers: { haveBytes = 0, reserveBytes = 0 } }: RoomVerdict,
  deadlineMs: number,
): ChildGuard {
  const sharedBytes = readChildUsage(process.pid)?.anonymousBytes ?? 0
  return {
    deadlineMs,
    reserveBytes,
    allowanceBytes: forkAllowanceBytes(haveBytes, sharedBytes),
    needBytes: snapshotNeedBytes(usedBytes, NODE_MAJOR),
    availableBytes: () => probe.memory().availableBytes,
  }
}

/**
 * Has the native helper find the memory that V8 keeps out of forks, so that the fork itself takes less time. If this
 * fails, the fork finds it.
 *
 * @returns The pause of the main thread, ms: 0 when this runs on another thread.
 */
function survey(helper: ForkHelper, mainThread: PatientMainThread): number {
  const startedAtMs = monotonicMs()
  try {
    helper.survey()
  } catch {
    return 0
  }
  return mainThread.orderNow ? monotonicMs() - startedAtMs : 0
}

function conclude(
  { heap, passedOver }: HeapDump,
  { snapshot, profile, pauseMs, forks }: Progress,
  outcome: ChildOutcome,
  room: RoomVerdict,
): HeapCapture | Incapable {
  const report = outcome.kind === 'reported' ? ownOnly(outcome.report) : undefined
  for (const { way, why } of missing(report?.profile)) passOver(passedOver, way, why)
  const peakBytes = report?.peakBytes
  const common = { pauseMs, ...(peakBytes === undefined ? {} : { childPeakBytes: peakBytes }) }
  if (snapshot) return { ...common, artefacts: profile ? [snapshot, profile] : [snapshot], way: FORK_WAY }

  const why = whyNoSnapshot(outcome, forks)
  const refusal = outcome.kind === 'out of memory' ? refuse(heap.usedBytes, room, outcome) : undefined
  if (profile) {
    passOver(passedOver, FORK_WAY, why)
    const lesser = { ...common, artefacts: [profile] as const, way: SAMPLING_WAY }
    return refusal ? { ...lesser, refusal } : { ...lesser, failure: new Error(why) }
  }
  if (refusal) return { cannot: why, refusal }
  if (outcome.kind === 'stuck' || outcome.kind === 'failed') return { cannot: why }
  // Do not fall back to a snapshot without a fork. If the child could not write (full disk, say), the parent cannot either,
  // and would block for nothing. If the child was too slow, the parent would be too. If a signal ended the child, the
  // application is probably being shut down. If processes or open files are used up, a later dump can fork again.
  throw new Error(why)
}

/**
 * Returns the refusal for a child that ran out of memory. Its `needBytes` is what a whole snapshot needs in the worst case; a
 * fork is tried even if less is available.
 */
function refuse(usedBytes: number, room: RoomVerdict, { leftBytes }: ChildFailure): Refusal {
  const numbers = { ...room.numbers, needBytes: snapshotNeedBytes(usedBytes, NODE_MAJOR) }
  return { skip: 'memory', numbers: leftBytes === undefined ? numbers : { ...numbers, leftBytes } }
}

function whyNoSnapshot(outcome: ChildOutcome, forks: number): string {
  if (outcome.kind !== 'reported') return `${outcome.why} (fork attempt ${forks})`
  const { snapshot } = outcome.report
  return owns(snapshot, 'failed')
    ? snapshot.failed
    : 'the snapshot was complete, but its file has been deleted or replaced since'
}
