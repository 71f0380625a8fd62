import type { HeapProfiler, Runtime, Session } from 'node:inspector'
import { AbortController, firstLineOf, messageOf, Promise, toJson } from '../../base/globals'
import { formatSize } from '../../base/size'
import { monotonicMs, pause } from '../../base/time'
import { type OpenArtefact, openArtefact } from '../../files/artefact'
import { OPEN_EXISTING } from '../../files/disk'
import { artefactName } from '../../files/names'
import type { MarkedFile } from '../../files/partial'
import type { Artefact } from '../../files/sidecar'
import { ExitingError, type Job, type Refusal, type WorkerToDump } from '../capture'
import type { MainThread } from '../main-thread/orders'
import { judgeMemory, snapshotFileBytes, snapshotNeedBytes } from '../room'
import { NODE_MAJOR, roomFor, type RoomProbe } from '../room-probe'
import { type AttachedWorker, attachToWorkers } from '../threads/worker-sessions'
import { snapshotDeadlineMs } from './in-place'
import { SAMPLING_INTERVAL_BYTES } from './sampler'
import { SAMPLING_WAY } from './sampling'

/** Longest wait for a worker's answer, ms. One in JavaScript or in `Atomics.wait` answers within 20 ms. */
export const WORKER_ANSWER_MS = 10_000
/** Length of the sampling profile of a worker whose snapshot does not fit, ms: a heap that grows shows what it grows by. */
export const WORKER_SAMPLING_MS = 10_000

/** Time from the last answer of a worker that ends to the report of its end, ms. */
const END_MS = 100

/** Name in the `.json`: the worker writes the snapshot itself, in place. */
export const WORKER_WAY = 'v8'

export interface WorkerHeapParts {
  readonly mainThread: Pick<MainThread, 'connect'>
  readonly probe: Pick<RoomProbe, 'memory' | 'disk'>
  /** Where the snapshot does not fit, sample the worker's allocations. */
  readonly sampling: boolean
  /**
   * Snapshots are to be redacted. A worker writes its own by name, whole, so none is taken then: its allocations are
   * sampled.
   */
  readonly redact?: boolean | undefined
  /** @default {@link WORKER_ANSWER_MS} */
  readonly answerMs?: number
  /** @default {@link WORKER_SAMPLING_MS} */
  readonly samplingMs?: number
}

/** What became of a worker's heap. All absent: the dump was ended early. */
export interface WorkerHeapCapture {
  readonly artefact?: Artefact
  readonly way?: string
  /** The snapshot does not fit; the artefact, if there is one, is a sampling profile. */
  readonly refusal?: Refusal
  readonly failure?: Error
}

/**
 * Takes the heap of one worker thread, in place: a forked child has the main thread alone, so no other thread of it could collect
 * garbage or walk that heap. The snapshot stops the worker, and no other thread. Never rejects, leaves no incomplete file.
 *
 * @param early - Aborted to give the worker up.
 */
export async function captureWorkerHeap(
  parts: WorkerHeapParts,
  job: Job,
  worker: WorkerToDump,
  early: AbortSignal,
): Promise<WorkerHeapCapture> {
  if (early.aborted) return {}
  let session: Session | undefined
  let refusal: Refusal | undefined
  try {
    session = parts.mainThread.connect()
    const reached = await reach(session, worker.id, parts.answerMs ?? WORKER_ANSWER_MS, early)
    const { usedSize } = await reached.ask<{ readonly usedSize: number }>('Runtime.getHeapUsage')
    refusal = await judgeRoom(parts.probe, job.directory, worker.id, usedSize)
    if (!refusal && !parts.redact) return await writeSnapshot(reached, job, worker, usedSize, early)
    const why = refusal ? whyNoRoom(refusal) : 'a snapshot of a worker is not redacted'
    const outcome = refusal ? { refusal } : { failure: noSnapshot(worker, why) }
    if (!parts.sampling || refusal?.skip === 'disk') return outcome
    const samplingMs = parts.samplingMs ?? WORKER_SAMPLING_MS
    return { ...outcome, ...(await writeSamples(reached, job, worker, why, samplingMs)) }
  } catch (error) {
    if (early.aborted || error instanceof ExitingError) return refusal ? { refusal } : {}
    return { failure: noSnapshot(worker, messageOf(error)), ...(refusal && { refusal }) }
  } finally {
    session?.disconnect()
  }
}

function noSnapshot({ id }: WorkerToDump, why: string): Error {
  return new Error(`no heap snapshot of worker ${id}: ${why}`)
}

function whyNoRoom({ numbers: { needBytes = 0, haveBytes = 0 } }: Refusal): string {
  return `needs ${formatSize(needBytes)} of memory, ${formatSize(haveBytes)} available`
}

/** Sends inspector commands to one worker, until it ends or the dump is ended early. */
interface ReachedWorker {
  /** Rejects when the answer is late, the worker ends, or the dump is ended early. */
  ask<Result>(method: string, params?: object, deadlineMs?: number): Promise<Result>
  /** Rejects for the last two of these reasons. */
  pause(ms: number): Promise<void>
}

async function reach(
  session: Session,
  id: number,
  answerMs: number,
  early: AbortSignal,
): Promise<ReachedWorker> {
  let giveUp!: (why: Error) => void
  const over = new Promise<never>((_resolve, reject) => (giveUp = reject))
  over.catch(() => undefined)
  const end = (): void => giveUp(new Error('the dump was ended early'))
  if (early.aborted) end()
  else early.addEventListener('abort', end)

  const within = async <Result>(answer: Promise<Result>, waitMs: number, what: string): Promise<Result> => {
    const done = new AbortController()
    const late = pause(waitMs, done.signal).then(() => {
      throw new Error(
        `no answer to ${what} within ${waitMs} ms: the worker or the main thread is in one long native call`,
      )
    })
    try {
      return await Promise.race([answer, over, late])
    } catch (error) {
      // A worker that ends answers with an odd error first.
      await Promise.race([over, pause(END_MS)])
      throw error
    } finally {
      done.abort()
    }
  }

  const attached = new Promise<AttachedWorker>((resolve, reject) =>
    attachToWorkers(session, {
      attached: (worker) => {
        if (worker.id === id) resolve(worker)
      },
      detached: (worker) => {
        if (worker.id === id) giveUp(new Error('it ended during the dump'))
      },
      listed: (error) => reject(error ?? new Error('it has ended')),
    }),
  )
  const worker = await within(attached, answerMs, 'NodeWorker.enable')
  return {
    ask: <Result>(method: string, params?: object, deadlineMs = answerMs) =>
      within(worker.ask<Result>(method, params), deadlineMs, method),
    pause: (ms) => Promise.race([pause(ms), over]),
  }
}

/** @returns `undefined` when a snapshot in place fits. */
async function judgeRoom(
  probe: WorkerHeapParts['probe'],
  directory: string,
  id: number,
  usedBytes: number,
): Promise<Refusal | undefined> {
  const { disk, memory: room } = await roomFor(probe, directory, snapshotFileBytes(usedBytes))
  if (!disk.fits) return { skip: 'disk', numbers: { worker: id, ...disk.numbers } }
  const memory = judgeMemory(usedBytes, NODE_MAJOR, room())
  return memory.fits ? undefined : { skip: 'memory', numbers: { worker: id, ...memory.numbers } }
}

function openOf(
  { directory, baseName, sidecar }: Job,
  { id, name }: WorkerToDump,
  extension: '.heapsnapshot' | '.heapprofile',
): OpenArtefact {
  const thread = { kind: 'worker', id, name } as const
  return openArtefact(directory, artefactName(baseName, extension, id), { ...sidecar, thread })
}

async function writeSnapshot(
  reached: ReachedWorker,
  job: Job,
  worker: WorkerToDump,
  usedBytes: number,
  early: AbortSignal,
): Promise<WorkerHeapCapture> {
  const startedAtMs = monotonicMs()
  const open = openOf(job, worker, '.heapsnapshot')
  // An exiting process settles no promise any more.
  const abandon = (): void => open.abandon()
  early.addEventListener('abort', abandon)
  try {
    const expression = snapshotExpression(open.target, open.writePath !== open.target.file)
    const call = { expression, returnByValue: true }
    const deadlineMs = snapshotDeadlineMs(usedBytes)
    const askedAtMs = monotonicMs()
    const { exceptionDetails } = await reached
      .ask<Runtime.EvaluateReturnType>('Runtime.evaluate', call, deadlineMs)
      .finally(() => early.removeEventListener('abort', abandon))
    if (exceptionDetails) {
      const { exception, text } = exceptionDetails
      throw new Error(firstLineOf(exception?.description ?? text))
    }
    const pauseMs = monotonicMs() - askedAtMs
    const artefact = await open.publish({
      way: WORKER_WAY,
      passedOver: [],
      // Of the worker: each sidecar has the pause of the thread that its file is about.
      pauseMs,
      durationMs: monotonicMs() - startedAtMs,
      notes: { heapUsedBytes: usedBytes, estimatedNeedBytes: snapshotNeedBytes(usedBytes, NODE_MAJOR) },
    })
    return { artefact, way: WORKER_WAY }
  } catch (error) {
    open.abandon()
    throw error
  }
}

/**
 * Has the worker write its snapshot. As chunks over the inspector, the text of a whole heap would pass through the main thread, and
 * lie in memory whenever that is blocked. The worker opens the file by its name: a worker that comes to it after this dump was given
 * up finds none, and takes no snapshot.
 *
 * @param isThroughDescriptor - /proc shows descriptors as paths, so that the name cannot be made to lead elsewhere.
 */
function snapshotExpression({ file, mark }: MarkedFile, isThroughDescriptor: boolean): string {
  const path = isThroughDescriptor ? "'/proc/self/fd/' + fd" : toJson(file)
  return `(() => {
  const fs = process.getBuiltinModule('node:fs')
  const fd = fs.openSync(${toJson(file)}, ${OPEN_EXISTING})
  try {
    const { dev, ino } = fs.fstatSync(fd, { bigint: true })
    if (dev + ':' + ino !== ${toJson(mark.inode)}) throw new Error('the file was replaced')
    process.getBuiltinModule('node:v8').writeHeapSnapshot(${path})
  } finally {
    fs.closeSync(fd)
  }
})()`
}

/** Samples what the worker allocates from now on; where another user samples already, reads that profile and lets it go on. */
async function writeSamples(
  reached: ReachedWorker,
  job: Job,
  worker: WorkerToDump,
  whyNoSnapshot: string,
  samplingMs: number,
): Promise<Pick<WorkerHeapCapture, 'artefact' | 'way'>> {
  const startedAtMs = monotonicMs()
  const read = () => reached.ask<HeapProfiler.GetSamplingProfileReturnType>('HeapProfiler.getSamplingProfile')
  // An error, without a collection, where nothing samples.
  const theirs = await read().catch(() => undefined)
  if (!theirs) {
    await reached.ask('HeapProfiler.startSampling', { samplingInterval: SAMPLING_INTERVAL_BYTES })
    await reached.pause(samplingMs)
  }
  // The end of the session ends the sampler that it started.
  const readAtMs = monotonicMs()
  const { profile } = theirs ?? (await read())
  const pauseMs = theirs ? readAtMs - startedAtMs : monotonicMs() - readAtMs
  const { samples } = profile as unknown as { readonly samples: readonly unknown[] }
  if (samples.length === 0) return {}
  const open = openOf(job, worker, '.heapprofile')
  try {
    open.write(toJson(profile))
    const artefact = await open.publish({
      way: SAMPLING_WAY,
      passedOver: [{ way: WORKER_WAY, why: whyNoSnapshot }],
      // Of the full collection that reading forces.
      pauseMs,
      durationMs: monotonicMs() - startedAtMs,
      notes: {
        ...{ forcedFullGc: true, samplingIntervalBytes: SAMPLING_INTERVAL_BYTES, samples: samples.length },
        ...(theirs ? { sampler: 'foreign' } : { sampler: 'ours', sampledMs: samplingMs }),
      },
    })
    return { artefact, way: SAMPLING_WAY }
  } catch (error) {
    open.abandon()
    throw error
  }
}
