import { threadId } from 'node:worker_threads'
import { messageOf } from '../../base/globals'
import { monotonicMs } from '../../base/time'
import { openArtefact } from '../../files/artefact'
import { makeDirectory } from '../../files/directory'
import { artefactName } from '../../files/names'
import { readThreadCpuMs } from '../../system/proc'
import { type CaptureObserver, type Capturer, type Job, type PassedOver, whyNone } from '../capture'
import type { Engine } from '../engines'
import { whyNoInspector } from '../main-thread/local-session'
import type { MainThread } from '../main-thread/orders'
import { patient } from '../main-thread/patient'
import { DISK_FLOOR_BYTES, judgeDisk } from '../room'
import type { RoomProbe } from '../room-probe'
import { whyNoThreads } from '../thread-limit'
import { mostProfiles } from '../threads/busy'
import {
  type RunningWorkerProfiles,
  startWorkerProfiles,
  type WorkerProfilesParts,
} from '../threads/worker-profiles'
import { createInspectorWay, INSPECTOR_WAY } from './inspector'
import { Recording, type StartedProfile } from './recording'
import { createV8ProfilerWay } from './v8-profiler'
import { type CpuProfileRequest, type CpuWay, type RunningProfile, samplingIntervalUs } from './way'

/** Assumed size of a `.cpuprofile`, bytes: enough for the call tree of a large code base and the largest number of samples. */
export const PROFILE_FILE_BYTES = 16 * 1024 * 1024

/** Parameters of {@link createCpuCapturer}. */
export interface CpuCapturerParts {
  readonly mainThread: MainThread
  /** The package for CPU profiles: `engines.cpu` of `resolveEngines`. */
  readonly engine: Engine
  readonly probe: RoomProbe
  readonly observer: CaptureObserver
  /**
   * Why this Node has no inspector; `undefined` where it has one.
   *
   * @default the result of `whyNoInspector()`
   */
  readonly noInspector?: string | undefined
  /**
   * Returns the CPU time of the main thread so far, ms; `undefined` where the system does not show it.
   *
   * @default reads /proc
   */
  readonly mainThreadCpuMs?: () => number | undefined
  /**
   * Starts the CPU profiles of the application's worker threads, beside that of the main thread.
   *
   * @default `startWorkerProfiles` where there is an inspector, else none
   */
  readonly startWorkers?: ((parts: WorkerProfilesParts) => RunningWorkerProfiles) | undefined
}

/**
 * Takes CPU profiles: with v8-profiler-next if that package is installed and loads, else with the inspector. If the package
 * cannot start a profile, the inspector takes this one. If a profile fails after its start, the dump fails. It is not tried
 * again: by then, the CPU use that caused the dump may be over.
 */
export function createCpuCapturer(parts: CpuCapturerParts): Capturer {
  const { engine, probe, observer, noInspector = whyNoInspector() } = parts
  const { mainThreadCpuMs = () => readThreadCpuMs(process.pid) } = parts
  const { startWorkers = noInspector === undefined ? startWorkerProfiles : undefined } = parts
  const mainThread = patient(parts.mainThread, (order) => observer.orderLate(order))
  const ways: CpuWay[] = []
  if (engine.package) ways.push(createV8ProfilerWay(mainThread))
  const notHere = [...engine.passedOver]
  if (noInspector === undefined) ways.push(createInspectorWay(mainThread))
  else notHere.push({ way: INSPECTOR_WAY, why: noInspector })
  let recording: Recording | undefined

  return {
    async plan(directory) {
      makeDirectory(directory)
      const { freeBytes } = await probe.disk(directory)
      const disk = judgeDisk(PROFILE_FILE_BYTES, freeBytes)
      if (!disk.fits) return { skip: 'disk', numbers: disk.numbers }
      return {
        async take(job, early) {
          const started = await startProfile(ways, notHere, job, early)
          const workers = startWorkers?.({
            connect: () => mainThread.connect(),
            ownThreadId: threadId,
            samplingIntervalUs: started.samplingIntervalUs,
            most: mostProfiles(PROFILE_FILE_BYTES, freeBytes - PROFILE_FILE_BYTES - DISK_FLOOR_BYTES),
            cpuMs: readThreadCpuMs,
          })
          const turning = { turn: () => mainThread.turn(), cpuMs: mainThreadCpuMs }
          recording = new Recording(started, job, early, turning, workers)
          return recording.finish().finally(() => (recording = undefined))
        },
      }
    },
    endNow: (isTimeOver) => recording?.finishNow(isTimeOver),
    ways: () => ({ available: ways.map((way) => way.name), passedOver: notHere }),
  }
}

async function startProfile(
  ways: readonly CpuWay[],
  passedOverBefore: readonly PassedOver[],
  job: Job,
  early: AbortSignal,
): Promise<StartedProfile> {
  if (ways.length === 0) throw new Error(whyNone(passedOverBefore))
  // V8's profiler samples on a thread of its own. If that thread cannot start, Node 24 and 26 abort, and Node 20 and 22
  // record nothing. So first check whether a thread can start.
  const noThread = whyNoThreads(1)
  if (noThread !== undefined) throw new Error(`V8's CPU profiler cannot start its thread: ${noThread}`)
  const startedAtMs = monotonicMs()
  const open = openArtefact(job.directory, artefactName(job.baseName, '.cpuprofile'), job.sidecar)
  try {
    const request = { title: job.baseName, samplingIntervalUs: samplingIntervalUs(job.durationMs), early }
    const { way, running, passedOver } = await startFirst(ways, request)
    const { samplingIntervalUs: intervalUs } = request
    const before = [...passedOverBefore, ...passedOver]
    return { open, running, way: way.name, passedOver: before, samplingIntervalUs: intervalUs, startedAtMs }
  } catch (error) {
    open.abandon()
    throw error
  }
}

/** Starts a profile in the first way that works (package, inspector), and records why the ways before it did not. */
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
