import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { CHILD_DEADLINE_MS } from '../core/retention'
import { judgeFork, memoryReserveBytes, snapshotNeedBytes, type RoomVerdict } from '../core/room'
import type { Artefact } from '../files/artefact'
import { openArtefact, type OpenArtefact } from '../files/open-artefact'
import type { Job, PassedOver, Refusal } from './capture'
import type { ForkHelper } from './fork-helper'
import { FORK_WAY, type ChildFile, missing } from './fork-job'
import { awaitChild, type ChildOutcome, type ChildToAwait } from './forked-child'
import type { HeapCapture, HeapRung } from './heap-rung'
import { SAMPLING_WAY, type HeapSampling } from './heap-sampling'
import type { HeapStatistics, MainThread, Orders } from './main-thread'
import { waitPatiently, type Patience } from './patience'
import type { RoomProbe } from './room-probe'

/** How often a child that got stuck is forked anew. */
export const FORK_RETRIES = 2
/** Added to the application's niceness: the snapshot is the one thing that can wait. */
export const CHILD_NICENESS = 10
/** The kernel's own deadline for the child comes a little after the guard's. */
const ALARM_GRACE_S = 5
/** Below this V8 cannot even begin. */
const LEAST_ALLOWANCE_BYTES = 32 * 1024 * 1024

/** What forked snapshots are built from. */
export interface HeapForkParts {
  readonly helper: ForkHelper
  readonly mainThread: MainThread
  readonly sampling: HeapSampling | undefined
  readonly probe: Pick<RoomProbe, 'memory'>
  readonly patience: Patience
  /** Major version of the Node that runs. */
  readonly nodeMajor: number
}

/** What became of one fork: what became of its child, or that there was none. */
type ForkOutcome = ChildOutcome | { readonly kind: 'notForked'; readonly why: string }

/**
 * Heap snapshots from a forked child: the process forks, which takes milliseconds, and goes on; the child writes the sampling
 * profile and then the snapshot from its frozen copy of the heap, and publishes both itself, even if the application ends.
 */
export function createForkRung(parts: HeapForkParts): HeapRung {
  return {
    ways: [FORK_WAY],
    fit: (heap, room) => judgeFork(heap.usedBytes, room),
    async take(job, heap, passedOver) {
      const dump = new ForkedDump(parts, job, heap, passedOver)
      let outcome = await dump.fork()
      for (let retry = 0; retry < FORK_RETRIES && (await dump.wantsRetry(outcome)); retry++)
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
  #pauseMs = 0
  #forks = 0
  #room: RoomVerdict | undefined

  constructor(parts: HeapForkParts, job: Job, heap: HeapStatistics, passedOver: readonly PassedOver[]) {
    this.#parts = parts
    this.#job = job
    this.#heap = heap
    this.#passedOver = [...passedOver]
  }

  async fork(): Promise<ForkOutcome> {
    this.#forks++
    const snapshot = await this.#open('.heapsnapshot')
    let profile: OpenArtefact | undefined
    try {
      profile = await this.#openProfile()
      const outcome = await this.#run(snapshot, profile)
      if (outcome.kind === 'reported' && outcome.report.sampler === 'stopped') {
        await this.#parts.sampling?.restart()
      }
      return outcome
    } finally {
      // What the child has published stays; what it left unfinished goes.
      await snapshot.abandon()
      await profile?.abandon()
    }
  }

  /** Not when a child got stuck after its work. */
  async wantsRetry({ kind }: ForkOutcome): Promise<boolean> {
    return kind === 'stuck' && !(await this.#published('.heapsnapshot'))
  }

  /** What is on disk decides: a child may end after its work and before its report. */
  async result(outcome: ForkOutcome): Promise<HeapCapture | { cannot: string }> {
    const report = outcome.kind === 'reported' ? outcome.report : undefined
    const snapshot = await this.#published('.heapsnapshot', report?.snapshot)
    const profile = await this.#published('.heapprofile', report?.profile)
    this.#passedOver.push(...missing(report?.profile))
    const childPeakBytes = report ? { childPeakBytes: report.peakBytes } : {}
    const common = { passedOver: this.#passedOver, pauseMs: this.#pauseMs, ...childPeakBytes }
    if (snapshot) {
      return { ...common, artefacts: profile ? [snapshot, profile] : [snapshot], way: FORK_WAY }
    }
    const why = whyNoSnapshot(outcome, this.#forks)
    if (!profile) {
      // What a child could not write, a full disk for one, the application would stand still for in vain.
      if (report) throw new Error(why)
      return { cannot: why }
    }
    this.#passedOver.push({ way: FORK_WAY, why })
    const lesser = { ...common, artefacts: [profile] as const, way: SAMPLING_WAY }
    if (outcome.kind !== 'hungry') return { ...lesser, failure: new Error(why) }
    return { ...lesser, refusal: { skip: 'memory', numbers: this.#numbers() } }
  }

  /** A child may begin with less than a snapshot needs. It was too little: so what counts now is the whole need. */
  #numbers(): Refusal['numbers'] {
    const needBytes = snapshotNeedBytes(this.#heap.usedBytes, this.#parts.nodeMajor)
    return { ...this.#room?.numbers, needBytes }
  }

  #open(extension: string): Promise<OpenArtefact> {
    const { directory, baseName, sidecar } = this.#job
    return openArtefact(directory, `${baseName}${extension}`, sidecar)
  }

  /** None if there is no sampler, or if an earlier child has written it already. */
  async #openProfile(): Promise<OpenArtefact | undefined> {
    const { sampling } = this.#parts
    if (!sampling || (await this.#published('.heapprofile'))) return undefined
    const failure = await sampling.failure()
    if (!failure) return this.#open('.heapprofile')
    if (this.#forks === 1) this.#passedOver.push({ way: SAMPLING_WAY, why: failure.message })
    return undefined
  }

  async #run(snapshot: OpenArtefact, profile: OpenArtefact | undefined): Promise<ForkOutcome> {
    const { helper, mainThread, probe, patience } = this.#parts
    const room = probe.memory()
    this.#room = judgeFork(this.#heap.usedBytes, room)
    const allowanceBytes = Math.max(LEAST_ALLOWANCE_BYTES, this.#room.numbers['haveBytes'] ?? 0)
    const guard = {
      deadlineMs: CHILD_DEADLINE_MS,
      reserveBytes: memoryReserveBytes(room.limitBytes),
      allowanceBytes,
      availableBytes: () => probe.memory().availableBytes,
    }
    const input: Orders['forkHeapDump']['input'] = {
      snapshot: snapshot.partial,
      ...(profile && { profile: profile.partial }),
      passedOver: this.#passedOver,
      options: {
        dataAllowanceBytes: allowanceBytes,
        deadlineSeconds: CHILD_DEADLINE_MS / 1000 + ALARM_GRACE_S,
        niceness: CHILD_NICENESS,
      },
    }
    surveyOffMainThread(helper)
    const order = mainThread.order('forkHeapDump', input)
    try {
      const forked = await waitPatiently('forkHeapDump', order, patience)
      this.#pauseMs += forked.pauseMs
      return await awaitChild(helper, forked, guard)
    } catch (error) {
      // An order that was given up may still be carried out: its child finds no file to write to, and must be reaped.
      order.then((child: ChildToAwait) => awaitChild(helper, child, guard)).catch(() => {})
      return { kind: 'notForked', why: (error as Error).message }
    }
  }

  /** What the child could not publish, for the name was taken, is somebody else's. */
  async #published(extension: string, said?: ChildFile): Promise<Artefact | undefined> {
    if (said && 'failed' in said) return undefined
    const file = join(this.#job.directory, `${this.#job.baseName}${extension}`)
    try {
      return { file, sizeBytes: (await stat(file)).size }
    } catch {
      return undefined
    }
  }
}

/** Made here, on the dispatcher's thread, the survey is no part of the pause. Without it the fork makes its own. */
function surveyOffMainThread(helper: ForkHelper): void {
  try {
    helper.survey()
  } catch {
    return
  }
}

function whyNoSnapshot(outcome: ForkOutcome, forks: number): string {
  if (outcome.kind !== 'reported') return `${outcome.why}, at fork ${forks}`
  const { snapshot } = outcome.report
  return 'failed' in snapshot ? snapshot.failed : 'the snapshot was published and has vanished'
}
