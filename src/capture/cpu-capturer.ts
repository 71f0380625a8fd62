import { judgeDisk } from '../core/room'
import { tenths } from '../core/tenths'
import { openArtefact, type OpenArtefact } from '../files/open-artefact'
import { operate, Run, type Steps } from '../files/step'
import {
  whyNone,
  type Captured,
  type CaptureObserver,
  type Capturer,
  type Job,
  type PassedOver,
} from './capture'
import { createInspectorWay, INSPECTOR_WAY } from './cpu-inspector'
import { createV8ProfilerWay } from './cpu-v8-profiler'
import { samplingIntervalUs, type CpuProfileRequest, type CpuWay, type RunningProfile } from './cpu-way'
import type { Engine } from './engines'
import type { MainThread } from './main-thread'
import { ORDER_DEADLINE_MS, ORDER_TIMEOUT_MS, type Patience } from './patience'
import type { RoomProbe } from './room-probe'
import { whyNoInspector } from './whether-inspector'
import { monotonicMs } from '../time/clock'
import { pause } from '../time/timers'
import { messageOf } from '../core/message-of'

/** Size that a `.cpuprofile` is taken to reach, bytes: the call tree of a large code base and {@link MAX_SAMPLES}. */
export const PROFILE_FILE_BYTES = 16 * 1024 * 1024

/** What CPU captures are built from. */
export interface CpuCapturerParts {
  readonly mainThread: MainThread
  /** `engines.cpu` of `resolveEngines`. */
  readonly engine: Engine
  readonly probe: RoomProbe
  readonly observer: CaptureObserver
  /** @default what `whyNoInspector()` finds */
  readonly noInspector?: string | undefined
}

/**
 * CPU profiles: by v8-profiler-next where it is installed and loads, else by the inspector. A way that cannot start is passed
 * over for this dump; one that fails later is a failure, because by then the incident has had its time.
 */
export function createCpuCapturer(parts: CpuCapturerParts): Capturer {
  const { mainThread, engine, probe, observer, noInspector = whyNoInspector() } = parts
  const patience: Patience = {
    orderTimeoutMs: ORDER_TIMEOUT_MS,
    deadlineMs: ORDER_DEADLINE_MS,
    onLate: (order) => observer.orderLate(order),
  }
  const ways: CpuWay[] = []
  if (engine.package) ways.push(createV8ProfilerWay(mainThread, patience))
  const notHere = [...engine.passedOver]
  if (noInspector === undefined) ways.push(createInspectorWay(mainThread, patience))
  else notHere.push({ way: INSPECTOR_WAY, why: noInspector })
  let recording: Run<Captured> | undefined

  return {
    async plan(directory) {
      const disk = judgeDisk(PROFILE_FILE_BYTES, (await probe.disk(directory)).freeBytes)
      if (!disk.fits) return { skip: 'disk', numbers: disk.numbers }
      return {
        async take(job, early) {
          const started = await startProfile(ways, notHere, job, early)
          recording = new Run(recordAndPublish(started, job, early))
          return recording.done.finally(() => (recording = undefined))
        },
      }
    },
    endNow: (isTimeOver) => recording?.finishNow(isTimeOver),
    ways: () => ({ available: ways.map((way) => way.name), passedOver: notHere }),
    close: () => Promise.resolve(),
  }
}

/** A profile that is being recorded, and the file for it. */
interface StartedProfile {
  readonly open: OpenArtefact
  readonly running: RunningProfile
  readonly way: string
  readonly passedOver: readonly PassedOver[]
  readonly samplingIntervalUs: number
  readonly startedAtMs: number
}

async function startProfile(
  ways: readonly CpuWay[],
  passedOverBefore: readonly PassedOver[],
  job: Job,
  early: AbortSignal,
): Promise<StartedProfile> {
  if (ways.length === 0) throw new Error(whyNone(passedOverBefore))
  const startedAtMs = monotonicMs()
  const open = await openArtefact(job.directory, `${job.baseName}.cpuprofile`, job.sidecar)
  try {
    const request = { title: job.baseName, samplingIntervalUs: samplingIntervalUs(job.durationMs), early }
    const { way, running, passedOver } = await startFirst(ways, request)
    const { samplingIntervalUs: intervalUs } = request
    const before = [...passedOverBefore, ...passedOver]
    return { open, running, way: way.name, passedOver: before, samplingIntervalUs: intervalUs, startedAtMs }
  } catch (error) {
    await open.abandon()
    throw error
  }
}

/** Told as steps: an exiting process tells it to its end without an event loop. */
function* recordAndPublish(started: StartedProfile, job: Job, early: AbortSignal): Steps<Captured> {
  const { open, running, way, passedOver, samplingIntervalUs, startedAtMs } = started
  try {
    yield* recordFor(job.durationMs, early)
    const { stopPauseMs } = yield* running.stop(open)
    const how = {
      way,
      passedOver,
      pauseMs: running.startPauseMs + stopPauseMs,
      durationMs: monotonicMs() - startedAtMs,
    }
    const late = running.acceptedAfterMs > ORDER_TIMEOUT_MS ? { lateMs: tenths(running.acceptedAfterMs) } : {}
    const notes = { samplingIntervalUs, endedEarly: early.aborted, ...late }
    const artefact = yield* open.publishing({ ...how, notes })
    return { ...how, durationMs: monotonicMs() - startedAtMs, artefacts: [artefact], ...late }
  } catch (error) {
    yield* open.abandoning()
    throw error
  }
}

/** Starts the first way that can; the reasons of those before it go into the evidence. */
async function startFirst(
  ways: readonly CpuWay[],
  request: CpuProfileRequest,
): Promise<{ way: CpuWay; running: RunningProfile; passedOver: readonly PassedOver[] }> {
  const passedOver: PassedOver[] = []
  let failure: unknown
  for (const way of ways) {
    try {
      return { way, running: await way.start(request), passedOver }
    } catch (error) {
      passedOver.push({ way: way.name, why: messageOf(error) })
      failure = error
    }
  }
  throw failure
}

/** Ended early, what has been recorded so far is whole. */
function recordFor(durationMs: number, early: AbortSignal): Steps<void> {
  return operate<void>({
    sync: () => undefined,
    async: () => pause(durationMs, early),
  })
}
