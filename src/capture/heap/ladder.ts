import { ownOnly, owns } from '../../base/globals'
import { formatSize } from '../../base/size'
import { monotonicMs, tenths } from '../../base/time'
import { makeDirectory } from '../../files/directory'
import type { Captured, CaptureObserver, Capturer, PassedOver, Refusal, WorkerToDump } from '../capture'
import { ExitingError, whyNone } from '../capture'
import type { Engine } from '../engines'
import { whyNoInspector } from '../main-thread/local-session'
import type { HeapStatistics, MainThread } from '../main-thread/orders'
import { ORDER_TIMEOUT_MS, patient, type PatientMainThread } from '../main-thread/patient'
import { type RoomVerdict, snapshotFileBytes } from '../room'
import { roomFor, type RoomProbe } from '../room-probe'
import { FORK_WAY, loadForkHelper } from './fork/helper'
import { createForkRung } from './fork/rung'
import { createInPlaceRung } from './in-place'
import { type HeapCapture, type HeapDump, type HeapRung, type Incapable, passOver } from './rung'
import { type HeapSampling, SAMPLING_WAY, startHeapSampling } from './sampling'
import { captureWorkerHeap, WORKER_WAY, type WorkerHeapCapture } from './worker-heap'

/** Parameters of {@link createHeapCapturer}. */
export interface HeapCapturerParts {
  readonly mainThread: MainThread
  /** The package for heap snapshots: `engines.memory` of `resolveEngines`. */
  readonly engine: Engine
  readonly probe: RoomProbe
  readonly observer: CaptureObserver
  /** Whether to keep V8's sampling heap profiler on, so that every memory dump has a `.heapprofile`. */
  readonly sampling: boolean
  /** Whether the contents of strings are left out of snapshots. @default false */
  readonly redact?: boolean | undefined
  /**
   * The native fork helper, or why it cannot be used.
   *
   * @default the result of `loadForkHelper()`
   */
  readonly fork?: ReturnType<typeof loadForkHelper>
  /**
   * Why this Node has no inspector, without which nothing is sampled; `undefined` where it has one.
   *
   * @default the result of `whyNoInspector()`
   */
  readonly noInspector?: string | undefined
}

/** A capturer of memory dumps. Unless sampling is off, it keeps V8's sampling heap profiler running between dumps. */
export interface HeapCapturer extends Capturer {
  /** Stops the sampling heap profiler if this library started it. Idempotent. */
  close(): Promise<void>
}

/**
 * Takes memory dumps. It tries the methods of taking a heap snapshot (rungs) in order, best first: the first method that
 * fits into the available memory takes the snapshot. If no method fits, it takes only the sampling profile, and also returns
 * the refusal: why there is no snapshot.
 */
export function createHeapCapturer(parts: HeapCapturerParts): HeapCapturer {
  const { probe, observer, redact } = parts
  const mainThread = patient(parts.mainThread, (order) => observer.orderLate(order))
  const { rungs, sampling, notHere } = buildLadder(parts, mainThread)
  /** The finished capture of the main thread's heap, while the same dump captures the heap of a worker. */
  let ofMain: Captured | undefined
  return {
    async plan(directory) {
      makeDirectory(directory)
      const { heap, late } = await readHeap(mainThread)
      const fileBytes = snapshotFileBytes(heap.usedBytes, redact)
      const { disk, memory: room } = await roomFor(probe, directory, fileBytes)
      if (!disk.fits) return { skip: 'disk', numbers: disk.numbers }

      const passedOver = [...notHere]
      const { fitting, refusal } = chooseRungs(rungs, heap, room(), passedOver)
      if (refusal && !sampling) return refusal
      return {
        ...(refusal && { refusal }),
        async take(job, early) {
          const startedAtMs = monotonicMs()
          const whole = (captured: HeapCapture): Captured => ({
            ...captured,
            ...late,
            passedOver,
            durationMs: monotonicMs() - startedAtMs,
          })
          const takeMain = () => descend({ job, heap, room, passedOver }, fitting, sampling, refusal)
          const takeWorker = (worker: WorkerToDump) => async (main: HeapCapture | undefined) => {
            ofMain = main && whole(main)
            const workerParts = { mainThread, probe, sampling: sampling !== undefined, redact }
            return captureWorkerHeap(workerParts, job, worker, early).finally(() => (ofMain = undefined))
          }
          const captured = await (job.worker ? withWorker(takeMain, takeWorker(job.worker)) : takeMain())
          return owns(captured, 'skip') ? captured : whole(captured)
        },
      }
    },
    ways: () => ({
      available: [...rungs.flatMap((rung) => rung.ways), ...(sampling ? [SAMPLING_WAY] : [])],
      passedOver: notHere,
    }),
    // `ofMain` is set only while a worker's heap is captured: by then the files of the main thread's heap are complete.
    endNow: () => ofMain,
    close: () => sampling?.close() ?? Promise.resolve(),
  }
}

interface Ladder {
  /** The methods of taking a snapshot, best first. */
  readonly rungs: readonly HeapRung[]
  readonly sampling: HeapSampling | undefined
  /** Ways of capturing that do not work in this process, with the reason. */
  readonly notHere: readonly PassedOver[]
}

function buildLadder(parts: HeapCapturerParts, mainThread: PatientMainThread): Ladder {
  const { engine, probe, observer, redact, fork = loadForkHelper(), noInspector = whyNoInspector() } = parts
  const isSampling = parts.sampling && noInspector === undefined
  const sampling = isSampling ? startHeapSampling(mainThread, observer) : undefined
  const inPlace = createInPlaceRung({ mainThread, engine, sampling, redact })
  const notHere = [...engine.passedOver]
  if (parts.sampling && noInspector !== undefined) notHere.push({ way: SAMPLING_WAY, why: noInspector })
  if ('helper' in fork) {
    const { helper } = fork
    return {
      rungs: [createForkRung({ helper, mainThread, sampling, probe, observer, redact }), inPlace],
      sampling,
      notHere,
    }
  }
  notHere.unshift({ way: FORK_WAY, why: fork.unavailable })
  return { rungs: [inPlace], sampling, notHere }
}

/**
 * Asks the main thread for its heap size. This is the first request of a dump, so its delay shows how busy the main thread is.
 */
async function readHeap(
  mainThread: PatientMainThread,
): Promise<{ heap: HeapStatistics; late: Pick<Captured, 'lateMs'> }> {
  const askedAtMs = monotonicMs()
  const heap = await mainThread.order('heapStatistics', {})
  const acceptedAfterMs = monotonicMs() - askedAtMs
  return { heap, late: acceptedAfterMs > ORDER_TIMEOUT_MS ? { lateMs: tenths(acceptedAfterMs) } : {} }
}

interface FittingRung {
  readonly rung: HeapRung
  readonly verdict: RoomVerdict
}

/** @returns The rungs (snapshot methods) that fit into `room`, the available memory; a refusal if none fits. */
function chooseRungs(
  rungs: readonly HeapRung[],
  heap: HeapStatistics,
  room: ReturnType<HeapDump['room']>,
  passedOver: PassedOver[],
): { fitting: readonly FittingRung[]; refusal: Refusal | undefined } {
  const fitting: FittingRung[] = []
  let refusal: Refusal | undefined
  for (const rung of rungs) {
    const verdict = rung.fit(heap, room)
    if (verdict.fits) {
      fitting.push({ rung, verdict })
      continue
    }
    for (const way of rung.ways) passOver(passedOver, way, tooLittleRoom(verdict))
    refusal = { skip: 'memory', numbers: verdict.numbers }
  }
  return { fitting, refusal: fitting.length === 0 ? refusal : undefined }
}

/**
 * Tries the rungs (snapshot methods) in order until one succeeds. If none does for lack of memory, takes the sampling profile.
 */
async function descend(
  dump: HeapDump,
  fitting: readonly FittingRung[],
  sampling: HeapSampling | undefined,
  refusalOfPlan: Refusal | undefined,
): Promise<HeapCapture | Refusal> {
  let refusal = refusalOfPlan
  for (const [at, { rung, verdict: planned }] of fitting.entries()) {
    // Check again after the first rung (snapshot method) failed: the available memory may have shrunk since the plan.
    const verdict = at === 0 ? planned : rung.fit(dump.heap, dump.room())
    const captured: HeapCapture | Incapable = ownOnly(
      verdict.fits ? await rung.take(dump, verdict) : { cannot: tooLittleRoom(verdict) },
    )
    if (!('cannot' in captured)) return captured
    for (const way of rung.ways) passOver(dump.passedOver, way, captured.cannot)
    if (!verdict.fits) refusal = { skip: 'memory', numbers: verdict.numbers }
    if (captured.refusal) {
      refusal = captured.refusal
      break
    }
  }
  if (!refusal) throw new Error(whyNone(dump.passedOver))
  return sampling ? takeProfileOnly(sampling, dump, refusal) : refusal
}

/**
 * Captures the heap of the main thread, and then that of a worker. The main thread comes first, because a forked child, which
 * leaves the application running, can take its snapshot. If one capture fails, the files of the other are kept.
 */
async function withWorker(
  takeMain: () => Promise<HeapCapture | Refusal>,
  takeWorker: (main: HeapCapture | undefined) => Promise<WorkerHeapCapture>,
): Promise<HeapCapture | Refusal> {
  let main: HeapCapture | Refusal | undefined
  let failed: unknown
  try {
    main = await takeMain()
  } catch (error) {
    if (error instanceof ExitingError) throw error
    failed = error
  }
  const ofMain = main && owns(main, 'artefacts') ? main : undefined
  const worker = await takeWorker(ofMain)
  const artefacts = [...(worker.artefact ? [worker.artefact] : []), ...(ofMain?.artefacts ?? [])]
  const [first, ...others] = artefacts
  if (!first) {
    if (main) return main
    throw failed
  }
  const failure = ofMain?.failure ?? (failed as Error | undefined) ?? worker.failure
  const refusal = (ofMain ? ofMain.refusal : (main as Refusal | undefined)) ?? worker.refusal
  return {
    way: worker.way ?? WORKER_WAY,
    pauseMs: 0,
    ...ofMain,
    artefacts: [first, ...others],
    ...(failure && { failure }),
    ...(refusal && { refusal }),
  }
}

/** Captures the sampling profile instead of a snapshot. If that fails too, returns only `refusal`: why there is no snapshot. */
async function takeProfileOnly(
  sampling: HeapSampling,
  { job, passedOver }: HeapDump,
  refusal: Refusal,
): Promise<HeapCapture | Refusal> {
  const profile = await sampling.capture(job, passedOver)
  if (owns(profile, 'absent')) return refusal
  return { artefacts: [profile.artefact], way: SAMPLING_WAY, pauseMs: profile.pauseMs, refusal }
}

function tooLittleRoom({ numbers: { needBytes = 0, haveBytes = 0 } }: RoomVerdict): string {
  return `needs ${formatSize(needBytes)} of memory, ${formatSize(haveBytes)} available beside the reserve`
}
