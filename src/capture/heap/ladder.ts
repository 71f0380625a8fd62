import { judgeDisk, roomBeside, snapshotFileBytes, type MemoryRoom } from '../room'
import { tenths } from '../../base/tenths'
import { whyNone } from '../capture'
import type { Captured, CaptureObserver, Capturer, Job, PassedOver, Plan, Refusal } from '../capture'
import type { Engine } from '../engines'
import { loadForkHelper } from './fork/helper'
import { FORK_WAY } from './fork/job'
import { createForkRung } from './fork/rung'
import { createInPlaceRung } from './in-place'
import type { HeapCapture, HeapRung, Incapable } from './rung'
import { SAMPLING_WAY, startHeapSampling, type HeapSampling } from './sampling'
import type { HeapStatistics, MainThread } from '../main-thread/orders'
import { ORDER_DEADLINE_MS, ORDER_TIMEOUT_MS, waitPatiently, type Patience } from '../main-thread/patient'
import type { RoomProbe } from '../room-probe'
import { whyNoInspector } from '../main-thread/local-session'
import { makeDirectory } from '../../files/directory'
import { monotonicMs } from '../../base/clock'
import { ownOnly, owns } from '../../base/globals'

/** The parts of a heap capturer. */
export interface HeapCapturerParts {
  readonly mainThread: MainThread
  /** `engines.memory` of `resolveEngines`. */
  readonly engine: Engine
  readonly probe: RoomProbe
  readonly observer: CaptureObserver
  /** Keep V8's sampling heap profiler on, so that every memory dump has a `.heapprofile`. */
  readonly sampling: boolean
  /** Major version of the Node that runs. */
  readonly nodeMajor: number
  /** @default the result of `loadForkHelper()` */
  readonly fork?: ReturnType<typeof loadForkHelper>
  /** @default the result of `whyNoInspector()` */
  readonly noInspector?: string | undefined
}

/**
 * The memory ladder: the first rung that fits takes the snapshot; when none does, the sampling profile alone is taken, with
 * a refusal for the snapshot.
 */
export function createHeapCapturer(parts: HeapCapturerParts): Capturer {
  const { mainThread, engine, probe, observer, nodeMajor } = parts
  const { fork = loadForkHelper(), noInspector = whyNoInspector() } = parts
  const patience: Patience = {
    orderTimeoutMs: ORDER_TIMEOUT_MS,
    deadlineMs: ORDER_DEADLINE_MS,
    onLate: (order) => observer.orderLate(order),
  }
  const sampling =
    parts.sampling && noInspector === undefined
      ? startHeapSampling({ mainThread, patience, observer })
      : undefined
  const ladder: readonly HeapRung[] = [
    ...('helper' in fork
      ? [createForkRung({ helper: fork.helper, mainThread, sampling, probe, patience, observer, nodeMajor })]
      : []),
    createInPlaceRung({ mainThread, engine, sampling, patience, nodeMajor }),
  ]
  const notHere = [
    ...('helper' in fork ? [] : [{ way: FORK_WAY, why: fork.unavailable }]),
    ...engine.passedOver,
    ...(parts.sampling && noInspector !== undefined ? [{ way: SAMPLING_WAY, why: noInspector }] : []),
  ]

  return {
    async plan(directory) {
      makeDirectory(directory)
      const askedAtMs = monotonicMs()
      const statistics = mainThread.order('heapStatistics', {})
      const heap = await waitPatiently('heapStatistics', statistics, patience)
      // The first order of a dump is the one that a busy main thread keeps waiting.
      const acceptedAfterMs = monotonicMs() - askedAtMs
      const late = acceptedAfterMs > ORDER_TIMEOUT_MS ? { lateMs: tenths(acceptedAfterMs) } : {}
      const fileBytes = snapshotFileBytes(heap.usedBytes)
      const { freeBytes, isMemory } = await probe.disk(directory)
      const disk = judgeDisk(fileBytes, freeBytes)
      if (!disk.fits) return { skip: 'disk', numbers: disk.numbers }

      const room = () => (isMemory ? roomBeside(fileBytes, probe.memory()) : probe.memory())
      const passedOver = [...notHere]
      const fitting: HeapRung[] = []
      let refusal: Refusal = { skip: 'memory', numbers: {} }
      for (const rung of ladder) {
        const { fits, numbers } = rung.fit(heap, room())
        if (fits) fitting.push(rung)
        else passedOver.push(...rung.ways.map((way) => ({ way, why: tooLittleRoom(numbers) })))
        refusal = { skip: 'memory', numbers }
      }
      if (fitting.length > 0) return planFor((job) => descend(fitting, job, heap, passedOver, room), late)
      if (!sampling) return refusal
      const takeProfile = (job: Job) => takeProfileOnly(sampling, job, passedOver, refusal)
      return { refusal, ...planFor(takeProfile, late) }
    },
    ways: () => ({
      available: [...ladder.flatMap((rung) => rung.ways), ...(sampling ? [SAMPLING_WAY] : [])],
      passedOver: notHere,
    }),
    close: () => sampling?.close() ?? Promise.resolve(),
  }

  /**
   * Takes the first rung that succeeds; the reasons of those before it go into the evidence. Memory may have become short
   * since the plan, and may be why a forked child failed, so each rung has to fit again.
   */
  async function descend(
    rungs: readonly HeapRung[],
    job: Job,
    heap: HeapStatistics,
    passedOver: PassedOver[],
    room: () => MemoryRoom,
  ): Promise<HeapCapture | Refusal> {
    let refusal: Refusal | undefined
    for (const rung of rungs) {
      const { fits, numbers } = rung.fit(heap, room())
      const captured: HeapCapture | Incapable = ownOnly(
        fits ? await rung.take(job, heap, passedOver, room) : { cannot: tooLittleRoom(numbers) },
      )
      if (!('cannot' in captured)) return captured
      if (!fits) refusal = { skip: 'memory', numbers }
      passedOver = passedOver.concat(rung.ways.map((way) => ({ way, why: captured.cannot })))
      if (captured.refusal) {
        refusal = captured.refusal
        break
      }
    }
    if (!refusal) throw new Error(whyNone(passedOver))
    if (!sampling) return refusal
    return takeProfileOnly(sampling, job, passedOver, refusal)
  }

  function planFor(
    capture: (job: Job) => Promise<HeapCapture | Refusal>,
    late: Pick<Captured, 'lateMs'>,
  ): Pick<Plan, 'take'> {
    return {
      async take(job): Promise<Captured | Refusal> {
        const startedAtMs = monotonicMs()
        const captured = await capture(job)
        if (owns(captured, 'skip')) return captured
        return { ...captured, ...late, durationMs: monotonicMs() - startedAtMs }
      },
    }
  }
}

/** Without samples only the refusal and its numbers are reported. */
async function takeProfileOnly(
  sampling: HeapSampling,
  job: Job,
  passedOver: readonly PassedOver[],
  refusal: Refusal,
): Promise<HeapCapture | Refusal> {
  const profile = await sampling.capture(job, passedOver)
  if (owns(profile, 'absent')) return refusal
  return { artefacts: [profile.artefact], way: SAMPLING_WAY, passedOver, pauseMs: profile.pauseMs, refusal }
}

function tooLittleRoom({ needBytes, haveBytes }: Refusal['numbers']): string {
  return `needs ${needBytes} bytes of memory, ${haveBytes} available`
}
