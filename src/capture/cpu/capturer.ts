import { judgeDisk } from '../room'
import type { Artefact, How } from '../../files/sidecar'
import { openArtefact, type OpenArtefact } from '../../files/artefact'
import { removePartial } from '../../files/partial'
import { makeDirectory } from '../../files/directory'
import {
  whyNone,
  type Captured,
  type CaptureObserver,
  type Capturer,
  type Job,
  type PassedOver,
} from '../capture'
import { createInspectorWay, INSPECTOR_WAY } from './inspector'
import { createV8ProfilerWay } from './v8-profiler'
import {
  samplingIntervalUs,
  type CpuProfileRequest,
  type CpuWay,
  type RunningProfile,
  type StoppedProfile,
} from './way'
import type { Engine } from '../engines'
import type { MainThread } from '../main-thread/orders'
import { ORDER_TIMEOUT_MS, patient } from '../main-thread/patient'
import type { RoomProbe } from '../room-probe'
import { whyNoInspector } from '../main-thread/local-session'
import { whyNoThreads } from '../threads'
import { monotonicMs, tenths } from '../../base/clock'
import { pause, setImmediate } from '../../base/timers'
import { messageOf } from '../../base/error-text'

/** Assumed size of a `.cpuprofile`, bytes: the call tree of a large code base and the most samples. */
export const PROFILE_FILE_BYTES = 16 * 1024 * 1024

/** The parts of a CPU capturer. */
export interface CpuCapturerParts {
  readonly mainThread: MainThread
  /** `engines.cpu` of `resolveEngines`. */
  readonly engine: Engine
  readonly probe: RoomProbe
  readonly observer: CaptureObserver
  /** @default the result of `whyNoInspector()` */
  readonly noInspector?: string | undefined
}

/**
 * CPU profiles: by v8-profiler-next where it is installed and loads, else by the inspector. A way that cannot start is passed
 * over for this dump. A way that fails later is a failure of the dump, because the incident has ended by then.
 */
export function createCpuCapturer(parts: CpuCapturerParts): Capturer {
  const { engine, probe, observer, noInspector = whyNoInspector() } = parts
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
      const disk = judgeDisk(PROFILE_FILE_BYTES, (await probe.disk(directory)).freeBytes)
      if (!disk.fits) return { skip: 'disk', numbers: disk.numbers }
      return {
        async take(job, early) {
          const started = await startProfile(ways, notHere, job, early)
          recording = new Recording(started, job, early)
          return recording.finish().finally(() => (recording = undefined))
        },
      }
    },
    endNow: (isTimeOver) => recording?.finishNow(isTimeOver),
    ways: () => ({ available: ways.map((way) => way.name), passedOver: notHere }),
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
  // V8's profiler samples from a thread of its own. Without it, Node 24 and 26 abort, and Node 20 and 22 record nothing.
  const noThread = whyNoThreads(1)
  if (noThread !== undefined) throw new Error(`V8's profiler needs a thread: ${noThread}`)
  const startedAtMs = monotonicMs()
  const open = openArtefact(job.directory, `${job.baseName}.cpuprofile`, job.sidecar)
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

/** Turns a running profile into a file. If the process exits meanwhile, `finishNow` continues without an event loop. */
class Recording {
  readonly #started: StartedProfile
  readonly #job: Job
  readonly #early: AbortSignal
  #stopped: StoppedProfile | undefined
  #endedNow: { readonly captured: Captured } | { readonly error: unknown } | undefined
  #wake: () => void = () => undefined

  constructor(started: StartedProfile, job: Job, early: AbortSignal) {
    this.#started = started
    this.#job = job
    this.#early = early
  }

  async finish(): Promise<Captured> {
    const { open, running } = this.#started
    try {
      // Ended early, the profile recorded so far is whole.
      await Promise.race([
        pause(this.#job.durationMs, this.#early),
        new Promise<void>((resolve) => (this.#wake = resolve)),
      ])
      if (this.#endedNow) return outcomeOf(this.#endedNow)
      this.#stopped ??= running.stopNow?.(open.target) ?? (await running.stop(open.target))
      for (const piece of this.#stopped.pieces) {
        open.write(piece)
        await nextTurn()
      }
      const how = this.#how(this.#stopped)
      return this.#captured(how, await open.publish(how, this.#stopped.writtenBytes))
    } catch (error) {
      open.abandon()
      throw error
    }
  }

  /** {@link finish} within the call; `undefined` when the time is over, or when only another thread can do it. */
  finishNow(isTimeOver: () => boolean): Captured | undefined {
    const { open, running } = this.#started
    if (isTimeOver()) return undefined
    try {
      this.#stopped ??= running.stopNow?.(open.target)
      if (!this.#stopped) return undefined
      for (const piece of this.#stopped.pieces) {
        if (isTimeOver()) return undefined
        open.write(piece)
      }
      const how = this.#how(this.#stopped)
      const captured = this.#captured(how, open.publishNow(how, this.#stopped.writtenBytes))
      this.#endedNow = { captured }
    } catch (error) {
      removePartial(open.partial)
      this.#endedNow = { error }
    }
    this.#wake()
    return outcomeOf(this.#endedNow)
  }

  #how({ stopPauseMs }: StoppedProfile): How {
    const { running, way, passedOver, samplingIntervalUs, startedAtMs } = this.#started
    const notes = { samplingIntervalUs, endedEarly: this.#early.aborted, ...this.#late() }
    const pauseMs = running.startPauseMs + stopPauseMs
    return { way, passedOver, pauseMs, durationMs: monotonicMs() - startedAtMs, notes }
  }

  #captured({ way, passedOver, pauseMs }: How, artefact: Artefact): Captured {
    const durationMs = monotonicMs() - this.#started.startedAtMs
    return { way, passedOver, pauseMs, durationMs, artefacts: [artefact], ...this.#late() }
  }

  #late(): { readonly lateMs?: number } {
    const { acceptedAfterMs } = this.#started.running
    return acceptedAfterMs > ORDER_TIMEOUT_MS ? { lateMs: tenths(acceptedAfterMs) } : {}
  }
}

function outcomeOf(ended: { readonly captured: Captured } | { readonly error: unknown }): Captured {
  if ('error' in ended) throw ended.error
  return ended.captured
}

/** Lets other work of this thread run between two pieces. An unref'd immediate would wait for another event. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve))
}

/** Starts the first way that can be started; the reasons of those before it are recorded. */
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
