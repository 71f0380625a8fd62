import { performance } from 'node:perf_hooks'
import { judgeDisk, snapshotFileBytes } from '../core/room'
import type { Captured, CaptureObserver, Capturer, Job, PassedOver, Plan, Refusal } from './capture'
import type { Engine } from './engines'
import { createInPlaceRung } from './heap-in-place'
import type { HeapCapture, HeapRung } from './heap-rung'
import { SAMPLING_WAY, startHeapSampling, type HeapSampling } from './heap-sampling'
import type { MainThread } from './main-thread'
import { ORDER_DEADLINE_MS, ORDER_TIMEOUT_MS, waitPatiently, type Patience } from './patience'
import type { RoomProbe } from './room-probe'

/** What heap captures are built from. */
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
}

/**
 * The memory ladder: the first rung that fits takes the snapshot; when none does, the sampling profile alone is taken, and
 * the refusal says that no snapshot was.
 */
export function createHeapCapturer(parts: HeapCapturerParts): Capturer {
  const { mainThread, engine, probe, observer, nodeMajor } = parts
  const patience: Patience = {
    orderTimeoutMs: ORDER_TIMEOUT_MS,
    deadlineMs: ORDER_DEADLINE_MS,
    onLate: (order) => observer.orderLate(order),
  }
  const sampling = parts.sampling ? startHeapSampling({ mainThread, patience, observer }) : undefined
  const ladder: readonly HeapRung[] = [
    createInPlaceRung({ mainThread, engine, sampling, patience, nodeMajor }),
  ]

  return {
    async plan(directory) {
      const statistics = mainThread.order('heapStatistics', {})
      const heap = await waitPatiently('heapStatistics', statistics, patience)
      const disk = judgeDisk(snapshotFileBytes(heap.usedBytes), await probe.freeDiskBytes(directory))
      if (!disk.fits) return { skip: 'disk', numbers: disk.numbers }

      const room = probe.memory()
      const passedOver = [...engine.passedOver]
      let refusal: Refusal = { skip: 'memory', numbers: {} }
      for (const rung of ladder) {
        const { fits, numbers } = rung.fit(heap, room)
        if (fits) return planFor((job) => rung.take(job, heap, passedOver))
        refusal = { skip: 'memory', numbers }
        passedOver.push(...rung.ways.map((way) => ({ way, why: tooLittleRoom(numbers) })))
      }
      if (!sampling) return refusal
      return planFor((job) => takeProfileOnly(sampling, job, passedOver), refusal)
    },
    ways: () => ({
      available: [...ladder.flatMap((rung) => rung.ways), ...(sampling ? [SAMPLING_WAY] : [])],
      passedOver: engine.passedOver,
    }),
    close: () => sampling?.close() ?? Promise.resolve(),
  }

  function planFor(capture: (job: Job) => Promise<HeapCapture>, refusal?: Refusal): Plan {
    return {
      ...(refusal ? { refusal } : {}),
      async take(job): Promise<Captured> {
        const startedAtMs = performance.now()
        await waitPatiently('ping', mainThread.order('ping', {}), patience)
        const acceptedAfterMs = performance.now() - startedAtMs
        const captured = await capture(job)
        const late = acceptedAfterMs > ORDER_TIMEOUT_MS ? { lateMs: acceptedAfterMs } : {}
        return { ...captured, ...late, durationMs: performance.now() - startedAtMs }
      },
    }
  }
}

async function takeProfileOnly(
  sampling: HeapSampling,
  job: Job,
  passedOver: readonly PassedOver[],
): Promise<HeapCapture> {
  const profile = await sampling.capture(job, passedOver)
  if ('absent' in profile) throw profile.absent
  return { artefacts: [profile.artefact], way: SAMPLING_WAY, passedOver, pauseMs: profile.pauseMs }
}

function tooLittleRoom({ needBytes, haveBytes }: Refusal['numbers']): string {
  return `needs ${needBytes} bytes of memory, ${haveBytes} are to be had`
}
