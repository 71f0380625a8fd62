import type { HeapProfiler, Runtime, Session } from 'node:inspector'
import { AbortController, firstLineOf, messageOf, Promise, toJson } from '../../base/globals'
import { formatSize } from '../../base/size'
import { monotonicMs, pause } from '../../base/time'
import { type OpenArtefact, openArtefact } from '../../files/artefact'
import type { MarkedFile } from '../../files/disk'
import { OPEN_EXISTING } from '../../files/disk'
import { artefactName } from '../../files/names'
import type { Artefact } from '../../files/sidecar'
import { ExitingError, type Job, type Refusal, type WorkerToDump } from '../capture'
import type { MainThread } from '../main-thread/orders'
import { judgeMemory, snapshotFileBytes, snapshotNeedBytes } from '../room'
import { NODE_MAJOR, roomFor, type RoomProbe } from '../room-probe'
import { type AttachedWorker, attachToWorkers } from '../threads/worker-sessions'
import { snapshotDeadlineMs } from './in-place'
import { SAMPLING_INTERVAL_BYTES } from './sampler'
import { SAMPLING_WAY } from './sampling'

/** Longest wait for a worker's answer, ms. A worker that runs JavaScript or waits in `Atomics.wait` answers within 20 ms. */
export const WORKER_ANSWER_MS = 10_000
/** Time for which allocations are sampled in a worker whose snapshot is not taken, ms. They show what makes its heap grow. */
export const WORKER_SAMPLING_MS = 10_000

/** Wait for the inspector's report that a worker has ended, after an error that its end may have caused, ms. */
const END_MS = 100

/** Name of the method of a worker's snapshot, in a dump's `.json`: the worker writes it itself, with V8. */
export const WORKER_WAY = 'v8'

export interface WorkerHeapParts {
  readonly mainThread: Pick<MainThread, 'connect'>
  readonly probe: Pick<RoomProbe, 'memory' | 'disk'>
  /** Whether to sample the worker's allocations if its snapshot does not fit into memory, or must be redacted. */
  readonly sampling: boolean
  /**
   * Whether snapshots must be redacted (written without the contents of strings). A worker can only write a complete
   * snapshot, so its allocations are sampled instead.
   */
  readonly redact?: boolean | undefined
  /** Longest wait for a worker's answer, ms. @default {@link WORKER_ANSWER_MS} */
  readonly answerMs?: number
  /** Time for which allocations are sampled, ms. @default {@link WORKER_SAMPLING_MS} */
  readonly samplingMs?: number
}

/** The result of capturing a worker's heap. Empty if the dump was ended early. */
export interface WorkerHeapCapture {
  readonly artefact?: Artefact
  readonly way?: string
  /** Why the snapshot does not fit into memory or onto the disk. `artefact`, if present, is then a sampling profile. */
  readonly refusal?: Refusal
  readonly failure?: Error
}

/**
 * Captures the heap of one worker thread in this process. A forked child could not: it has only a copy of the main thread,
 * and only the worker itself can walk its heap. The snapshot stops the worker, and no other thread. Never rejects, leaves
 * no incomplete file.
 *
 * @param early - Aborted when the dump ends early: the capture is then given up.
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
    const why = refusal ? whyNoRoom(refusal) : 'a worker thread cannot write a redacted snapshot'
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
  /** Waits. Rejects when the worker ends, or the dump is ended early. */
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
      // A worker that is ending first answers with an unrelated error. Wait for the report of its end, and reject with that.
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
        if (worker.id === id) giveUp(new Error('the worker ended during the dump'))
      },
      listed: (error) => reject(error ?? new Error('the worker has ended')),
    }),
  )
  const worker = await within(attached, answerMs, 'NodeWorker.enable')
  return {
    ask: <Result>(method: string, params?: object, deadlineMs = answerMs) =>
      within(worker.ask<Result>(method, params), deadlineMs, method),
    pause: (ms) => Promise.race([pause(ms), over]),
  }
}

/** @returns `undefined` when the worker's snapshot fits into memory and onto the disk, else the refusal. */
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
  // Remove the file at once when the dump ends early: in an exiting process no promise settles any more.
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
      // The pause of the worker: each sidecar has the pause of the thread that its file describes.
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
 * Returns JavaScript with which the worker writes its own snapshot to a file. A snapshot sent over the inspector would pass
 * through the main thread, and pile up in memory while the main thread is blocked. The worker opens the file by its name. If
 * the dump has been given up by then, the file is gone, and the worker takes no snapshot.
 *
 * @param isThroughDescriptor - Whether /proc shows open descriptors as paths. The worker then writes to such a path, which
 * another user cannot redirect by replacing the file; otherwise it writes to the file's name.
 */
function snapshotExpression({ file, mark }: MarkedFile, isThroughDescriptor: boolean): string {
  const path = isThroughDescriptor ? "'/proc/self/fd/' + fd" : toJson(file)
  return `(() => {
  const fs = process.getBuiltinModule('node:fs')
  const fd = fs.openSync(${toJson(file)}, ${OPEN_EXISTING})
  try {
    const { dev, ino } = fs.fstatSync(fd, { bigint: true })
    if (dev + ':' + ino !== ${toJson(mark.inode)}) throw new Error('the file for the snapshot was replaced')
    process.getBuiltinModule('node:v8').writeHeapSnapshot(${path})
  } finally {
    fs.closeSync(fd)
  }
})()`
}

/** Samples the worker's allocations for `samplingMs`. If other code samples them already, reads its profile without ending it. */
async function writeSamples(
  reached: ReachedWorker,
  job: Job,
  worker: WorkerToDump,
  whyNoSnapshot: string,
  samplingMs: number,
): Promise<Pick<WorkerHeapCapture, 'artefact' | 'way'>> {
  const startedAtMs = monotonicMs()
  const read = () => reached.ask<HeapProfiler.GetSamplingProfileReturnType>('HeapProfiler.getSamplingProfile')
  // If no sampling profiler runs in the worker, this call fails, and forces no GC.
  const theirs = await read().catch(() => undefined)
  if (!theirs) {
    await reached.ask('HeapProfiler.startSampling', { samplingInterval: SAMPLING_INTERVAL_BYTES })
    await reached.pause(samplingMs)
  }
  // The profiler need not be stopped: it ends when the session that started it is disconnected.
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
      // The pause of the worker for the full GC that the reading of the profile forces as a rule.
      pauseMs,
      durationMs: monotonicMs() - startedAtMs,
      notes: {
        samples: samples.length,
        ...(theirs
          ? { sampler: 'foreign' }
          : {
              ...{ forcedFullGc: true, samplingIntervalBytes: SAMPLING_INTERVAL_BYTES },
              ...{ sampler: 'ours', sampledMs: samplingMs },
            }),
      },
    })
    return { artefact, way: SAMPLING_WAY }
  } catch (error) {
    open.abandon()
    throw error
  }
}
