import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { judgeDisk } from '../core/room'
import { openArtefact, type OpenArtefact } from '../files/open-artefact'
import type { Captured, CaptureObserver, Capturer, Job, PassedOver } from './capture'
import { createInspectorWay } from './cpu-inspector'
import { createV8ProfilerWay } from './cpu-v8-profiler'
import { samplingIntervalUs, type CpuProfileRequest, type CpuWay, type RunningProfile } from './cpu-way'
import type { Engine } from './engines'
import type { MainThread } from './main-thread'
import { ORDER_DEADLINE_MS, ORDER_TIMEOUT_MS, type Patience } from './patience'
import type { RoomProbe } from './room-probe'

/** Size that a `.cpuprofile` is taken to reach, bytes: the call tree of a large code base and {@link MAX_SAMPLES}. */
export const PROFILE_FILE_BYTES = 16 * 1024 * 1024

/** What CPU captures are built from. */
export interface CpuCapturerParts {
  readonly mainThread: MainThread
  /** `engines.cpu` of `resolveEngines`. */
  readonly engine: Engine
  readonly probe: RoomProbe
  readonly observer: CaptureObserver
}

/**
 * CPU profiles: by v8-profiler-next where it is installed and loads, else by the inspector. A way that cannot start is passed
 * over for this dump; one that fails later is a failure, because by then the incident has had its time.
 */
export function createCpuCapturer({ mainThread, engine, probe, observer }: CpuCapturerParts): Capturer {
  const patience: Patience = {
    orderTimeoutMs: ORDER_TIMEOUT_MS,
    deadlineMs: ORDER_DEADLINE_MS,
    onLate: (order) => observer.orderLate(order),
  }
  const ways: CpuWay[] = []
  if (engine.package) ways.push(createV8ProfilerWay(mainThread, patience))
  ways.push(createInspectorWay(mainThread, patience))

  return {
    async plan(directory) {
      const disk = judgeDisk(PROFILE_FILE_BYTES, await probe.freeDiskBytes(directory))
      if (!disk.fits) return { skip: 'disk', numbers: disk.numbers }
      return { take: (job, early) => takeProfile(ways, engine.passedOver, job, early) }
    },
    ways: () => ({ available: ways.map((way) => way.name), passedOver: engine.passedOver }),
    close: () => Promise.resolve(),
  }
}

async function takeProfile(
  ways: readonly CpuWay[],
  passedOverBefore: readonly PassedOver[],
  job: Job,
  early: AbortSignal,
): Promise<Captured> {
  const startedAtMs = performance.now()
  const open = await openArtefact(job.directory, `${job.baseName}.cpuprofile`, job.sidecar)
  try {
    const request = { title: job.baseName, samplingIntervalUs: samplingIntervalUs(job.durationMs), early }
    const { way, running, passedOver } = await startFirst(ways, request)
    const before = [...passedOverBefore, ...passedOver]
    const { stopPauseMs } = await record(running, open, job.durationMs, early)
    const how = {
      way: way.name,
      passedOver: before,
      pauseMs: running.startPauseMs + stopPauseMs,
      durationMs: performance.now() - startedAtMs,
    }
    const late = running.acceptedAfterMs > ORDER_TIMEOUT_MS ? { lateMs: running.acceptedAfterMs } : {}
    const notes = { samplingIntervalUs: request.samplingIntervalUs, endedEarly: early.aborted, ...late }
    const artefact = await open.publish({ ...how, notes })
    return { ...how, durationMs: performance.now() - startedAtMs, artefacts: [artefact], ...late }
  } catch (error) {
    await open.abandon()
    throw error
  }
}

/** Starts the first way that can; the reasons of those before it go into the evidence. */
async function startFirst(
  ways: readonly CpuWay[],
  request: CpuProfileRequest,
): Promise<{ way: CpuWay; running: RunningProfile; passedOver: readonly PassedOver[] }> {
  const passedOver: PassedOver[] = []
  let failure: unknown = new Error('there is no way to take a CPU profile')
  for (const way of ways) {
    try {
      return { way, running: await way.start(request), passedOver }
    } catch (error) {
      passedOver.push({ way: way.name, why: (error as Error).message })
      failure = error
    }
  }
  throw failure
}

async function record(
  running: RunningProfile,
  open: OpenArtefact,
  durationMs: number,
  early: AbortSignal,
): Promise<{ stopPauseMs: number }> {
  await sleep(durationMs, undefined, { signal: early, ref: false }).catch(() => {
    // Ended early: what has been recorded so far is whole.
  })
  return running.stop(open)
}
