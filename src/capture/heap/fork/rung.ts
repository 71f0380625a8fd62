import { childDeadlineMs } from '../../../files/expiry'
import {
  forkAllowanceBytes,
  judgeFork,
  memoryReserveBytes,
  snapshotNeedBytes,
  type MemoryRoom,
  type RoomVerdict,
} from '../../room'
import type { Artefact } from '../../../files/sidecar'
import { openArtefact, type OpenArtefact } from '../../../files/artefact'
import { findPublished, isPartialThere } from '../../../files/partial'
import type { CaptureObserver, Job, PassedOver, Refusal } from '../../capture'
import type { ForkHelper } from './helper'
import { FORK_WAY, missing } from './job'
import { awaitChild, type ChildOutcome, type ChildToAwait } from './child'
import type { HeapCapture, HeapRung, Incapable } from '../rung'
import { SAMPLING_WAY, type HeapSampling } from '../sampling'
import type { HeapStatistics, MainThread, Orders } from '../../main-thread/orders'
import { waitPatiently, type Patience } from '../../main-thread/patient'
import type { RoomProbe } from '../../room-probe'
import { readChildUsage } from '../../../system/proc'
import { monotonicMs } from '../../../base/clock'
import { ownOnly, owns } from '../../../base/globals'
import { messageOf } from '../../../base/error-text'
import { ExitingError } from '../../exiting-error'

/** How often a deadlocked or crashed child is forked again. */
export const FORK_RETRIES = 2
/** Added to the application's niceness: the snapshot can wait. */
export const CHILD_NICENESS = 10
/** The kernel's own deadline for the child comes a little after the guard's. */
const ALARM_GRACE_S = 5

/** The parts of forked snapshots. */
export interface HeapForkParts {
  readonly helper: ForkHelper
  readonly mainThread: MainThread
  readonly sampling: HeapSampling | undefined
  readonly probe: Pick<RoomProbe, 'memory' | 'isKilledAsOne'>
  readonly patience: Patience
  readonly observer: CaptureObserver
  /** Major version of the Node that runs. */
  readonly nodeMajor: number
}

/** The outcome of one fork: that of its child, or that there was none. */
type ForkOutcome = ChildOutcome | { readonly kind: 'notForked'; readonly why: string }

/**
 * Heap snapshots from a forked child: the process forks, which takes milliseconds, and goes on; the child writes the sampling
 * profile and then the snapshot from its frozen copy of the heap, and publishes both itself, even if the application ends.
 */
export function createForkRung(parts: HeapForkParts): HeapRung {
  return {
    ways: [FORK_WAY],
    fit: (heap, room) => judgeFork(heap.usedBytes, room),
    async take(job, heap, passedOver, room) {
      const dump = new ForkedDump(parts, job, heap, passedOver, room)
      let outcome = await dump.fork()
      for (let retry = 0; retry < FORK_RETRIES && dump.wantsRetry(outcome); retry++)
        outcome = await dump.fork()
      return dump.result(outcome)
    },
  }
}

/** One dump, over as many forks as it takes. */
class ForkedDump {
  readonly #parts: HeapForkParts
  readonly #job: Job
  readonly #heap: HeapStatistics
  readonly #passedOver: PassedOver[]
  readonly #readRoom: () => MemoryRoom
  readonly #deadlineMs: number
  readonly #startedAtMs = monotonicMs()
  #pauseMs = 0
  #forks = 0
  #room: RoomVerdict | undefined
  /** Files that a child has published under their final names. */
  readonly #published: { snapshot?: Artefact; profile?: Artefact } = {}

  constructor(
    parts: HeapForkParts,
    job: Job,
    heap: HeapStatistics,
    passedOver: readonly PassedOver[],
    room: () => MemoryRoom,
  ) {
    this.#parts = parts
    this.#job = job
    this.#heap = heap
    this.#passedOver = [...passedOver]
    this.#readRoom = room
    this.#deadlineMs = childDeadlineMs(heap.usedBytes)
  }

  async fork(): Promise<ForkOutcome> {
    this.#forks++
    const snapshot = this.#open('.heapsnapshot')
    let profile: OpenArtefact | undefined
    try {
      profile = await this.#openProfile()
      const outcome = await this.#run(snapshot, profile)
      if (outcome.kind === 'reported' && ownOnly(outcome.report).sampler === 'stopped') {
        await this.#parts.sampling?.restart()
      }
      return outcome
    } finally {
      this.#keep('snapshot', snapshot)
      this.#keep('profile', profile)
    }
  }

  /** Published files stay, unfinished ones are removed. The disk decides: a child may end after its work without a report. */
  #keep(which: 'snapshot' | 'profile', open: OpenArtefact | undefined): void {
    if (!open) return
    const published = findPublished(open.partial)
    if (published) this.#published[which] = published
    open.abandon()
  }

  /** No retry for a child that got stuck after its work. */
  wantsRetry({ kind }: ForkOutcome): boolean {
    return kind === 'stuck' && !this.#published.snapshot
  }

  result(outcome: ForkOutcome): HeapCapture | Incapable {
    const report = outcome.kind === 'reported' ? ownOnly(outcome.report) : undefined
    const { snapshot, profile } = this.#published
    this.#passedOver.push(...missing(report?.profile))
    const childPeakBytes = report ? { childPeakBytes: report.peakBytes } : {}
    const common = { passedOver: this.#passedOver, pauseMs: this.#pauseMs, ...childPeakBytes }
    if (snapshot) {
      return { ...common, artefacts: profile ? [snapshot, profile] : [snapshot], way: FORK_WAY }
    }
    const why = whyNoSnapshot(outcome, this.#forks)
    const refusal = outcome.kind === 'hungry' ? this.#refusal(ownOnly(outcome)) : undefined
    if (profile) {
      this.#passedOver.push({ way: FORK_WAY, why })
      const lesser = { ...common, artefacts: [profile] as const, way: SAMPLING_WAY }
      return refusal ? { ...lesser, refusal } : { ...lesser, failure: new Error(why) }
    }
    if (refusal) return { cannot: why, refusal }
    // No fallback to a snapshot in place here. If the child could not write (full disk, say), the parent cannot either and
    // would block for nothing; if it was too slow, so would the parent be; and whoever kills the child is probably shutting
    // the parent down too.
    if (report || outcome.kind === 'ended') throw new Error(why)
    return { cannot: why }
  }

  /** A fork may start with less memory than a snapshot needs. It ran out, so the full need is reported. */
  #refusal({ leftBytes }: { readonly leftBytes?: number }): Refusal {
    const numbers = { ...this.#room?.numbers, needBytes: this.#needBytes() }
    return { skip: 'memory', numbers: leftBytes === undefined ? numbers : { ...numbers, leftBytes } }
  }

  #needBytes(): number {
    return snapshotNeedBytes(this.#heap.usedBytes, this.#parts.nodeMajor)
  }

  /**
   * Surveys the process's memory before the fork. On the dispatcher's own thread that is no part of the pause. If it fails,
   * the fork makes its own survey.
   */
  #survey(): void {
    const { helper, mainThread } = this.#parts
    const startedAtMs = monotonicMs()
    try {
      helper.survey()
    } catch {
      return
    }
    if (mainThread.orderNow) this.#pauseMs += monotonicMs() - startedAtMs
  }

  #open(extension: string): OpenArtefact {
    const { directory, baseName, sidecar } = this.#job
    const { why, where } = sidecar
    // Counted from the start of the dump, like the time in its name: this may not be the first fork.
    const childDeadlineMs = Math.ceil(monotonicMs() - this.#startedAtMs) + this.#deadlineMs
    const limits = { ...where.limits, childDeadlineMs }
    return openArtefact(directory, `${baseName}${extension}`, { why, where: { ...where, limits } })
  }

  /** None without a sampler, or when an earlier child has published the profile already. */
  async #openProfile(): Promise<OpenArtefact | undefined> {
    const { sampling } = this.#parts
    if (!sampling || this.#published.profile) return undefined
    const failure = await sampling.failure()
    if (!failure) return this.#open('.heapprofile')
    if (this.#forks === 1) this.#passedOver.push({ way: SAMPLING_WAY, why: failure.message })
    return undefined
  }

  async #run(snapshot: OpenArtefact, profile: OpenArtefact | undefined): Promise<ForkOutcome> {
    const { helper, mainThread, probe, patience, observer } = this.#parts
    const room = this.#readRoom()
    this.#room = judgeFork(this.#heap.usedBytes, room)
    if (!this.#room.fits) return { kind: 'hungry', why: 'too little memory is left for a fork' }
    const sharedBytes = readChildUsage(process.pid)?.anonymousBytes ?? 0
    const allowanceBytes = forkAllowanceBytes(this.#room.numbers['haveBytes'] ?? 0, sharedBytes)
    const guard = {
      deadlineMs: this.#deadlineMs,
      reserveBytes: memoryReserveBytes(room.limitBytes),
      allowanceBytes,
      needBytes: this.#needBytes(),
      availableBytes: () => probe.memory().availableBytes,
    }
    this.#survey()
    const input: Orders['forkHeapDump']['input'] = {
      snapshot: snapshot.partial,
      ...(profile && { profile: profile.partial }),
      passedOver: this.#passedOver,
      pausedBeforeMs: this.#pauseMs,
      options: {
        dataAllowanceBytes: allowanceBytes,
        deadlineSeconds: Math.ceil(this.#deadlineMs / 1000) + ALARM_GRACE_S,
        niceness: CHILD_NICENESS,
        // Where the kernel kills all processes of a group together, the child must not be the reason for it: another group
        // may have used up the machine's memory.
        firstForOomKiller: !probe.isKilledAsOne(),
      },
    }
    const order = mainThread.order('forkHeapDump', input)
    try {
      const forked = await waitPatiently('forkHeapDump', order, patience)
      this.#pauseMs += forked.pauseMs
      observer.childAtWork(forked.pid)
      return await awaitChild(helper, forked, guard).finally(() => observer.childAtWork(undefined))
    } catch (error) {
      // The main thread may still carry out an order that was given up: its child must be reaped.
      order.then((child: ChildToAwait) => awaitChild(helper, child, guard)).catch(() => {})
      if (error instanceof ExitingError) throw error
      // Another user who removes the file must not be able to have the snapshot taken in place, with its pause.
      const kind = isPartialThere(snapshot.partial) ? 'notForked' : 'ended'
      return { kind, why: messageOf(error) }
    }
  }
}

function whyNoSnapshot(outcome: ForkOutcome, forks: number): string {
  if (outcome.kind !== 'reported') return `${outcome.why}, at fork ${forks}`
  const { snapshot } = outcome.report
  return owns(snapshot, 'failed')
    ? snapshot.failed
    : 'the snapshot was published, and then deleted or replaced'
}
