import type { Session } from 'node:inspector'
import { monotonicMs } from '../../base/clock'
import { toJson } from '../../base/globals'
import { openArtefact, type OpenArtefact } from '../../files/artefact'
import type { Artefact } from '../../files/sidecar'
import type { CaptureObserver, Job, PassedOver } from '../capture'
import type { SamplerState } from '../main-thread/orders'
import type { PatientMainThread } from '../main-thread/patient'
import type { SamplingProfile } from './allocation-sites'

/** Mean number of bytes between two samples: no measurable cost, and leaks of a few MB show. */
export const SAMPLING_INTERVAL_BYTES = 512 * 1024

/** Name in the `.json` and in the start line. */
export const SAMPLING_WAY = 'sampling'

/** A `.heapprofile`, or why there is none. */
export type SamplingOutcome =
  { readonly artefact: Artefact; readonly pauseMs: number } | { readonly absent: Error }

/** V8's sampling heap profiler, kept running so that some evidence can be written when memory is short. */
export interface HeapSampling {
  /** Writes `<base name>.heapprofile`. Forces one full GC on the main thread. Never rejects, leaves no incomplete file. */
  capture(job: Job, passedOver: readonly PassedOver[]): Promise<SamplingOutcome>
  /** Why sampling could not be started; `undefined` when it was. */
  failure(): Promise<Error | undefined>
  /** Starts the sampler again after a forked child found it stopped by another user, and reports that once. */
  restart(): Promise<void>
  /** Stops the sampler if this library started it. Idempotent, never rejects. */
  close(): Promise<void>
}

/** Starts the sampler on the main thread, or reads the profile of another user's sampler that runs already. */
export function startHeapSampling(mainThread: PatientMainThread, observer: CaptureObserver): HeapSampling {
  const start = async (): Promise<Error | undefined> => {
    try {
      await mainThread.order('startSampling', { intervalBytes: SAMPLING_INTERVAL_BYTES })
      return undefined
    } catch (error) {
      observer.samplingFailed(error as Error)
      return error as Error
    }
  }
  let started = start()
  let isStopReported = false
  let closed: Promise<void> | undefined

  const restart = async (): Promise<void> => {
    started = start()
    if ((await started) || isStopReported) return
    isStopReported = true
    observer.samplingWasStopped()
  }

  const writeTo = async (open: OpenArtefact, passedOver: readonly PassedOver[]): Promise<SamplingOutcome> => {
    const startedAtMs = monotonicMs()
    const written = await mainThread.order('samplingProfile', { target: open.target })
    const { pauseMs, samples, writtenBytes, sampler } = written
    if (sampler === 'stopped') {
      await restart()
      throw new Error(
        'the sampling heap profiler was stopped by another user of it; it has been started again',
      )
    }
    if (samples === 0) throw new Error('the sampling heap profiler has no samples yet')
    const notes = { forcedFullGc: true, samplingIntervalBytes: SAMPLING_INTERVAL_BYTES, sampler, samples }
    const durationMs = monotonicMs() - startedAtMs
    const how = { way: SAMPLING_WAY, passedOver, pauseMs, durationMs, notes }
    const artefact = await open.publish(how, writtenBytes)
    return { artefact, pauseMs }
  }

  return {
    failure: () => started,
    async restart() {
      // Only the child noticed. The main thread still counts its sampler as running, so stop it first.
      await mainThread.order('stopSampling', {}).catch(() => {})
      await restart()
    },
    async capture(job, passedOver) {
      let open: OpenArtefact | undefined
      try {
        const failure = await started
        if (failure) throw failure
        open = openArtefact(job.directory, `${job.baseName}.heapprofile`, job.sidecar)
        return await writeTo(open, passedOver)
      } catch (error) {
        open?.abandon()
        return { absent: error as Error }
      }
    },
    close() {
      closed ??= started
        .then(() => mainThread.order('stopSampling', {}))
        .then(
          () => {},
          () => {},
        )
      return closed
    },
  }
}

/** V8's sampling heap profiler, of which a process has one for all its users. Synchronous, on its own thread. */
export interface HeapSampler {
  /** Starts sampling, unless it is known to run already. */
  start(intervalBytes: number): SamplerState
  /** The samples since the start; none if nothing was sampled or another user has stopped it. Forces one full GC. */
  read(): { samples: number; json: string }
  /** The same as an object; `undefined` while nothing samples: then no GC is forced. */
  profile(): SamplingProfile | undefined
  state(): SamplerState
  /** Stops the profiler if this sampler started it. Idempotent. */
  stop(): void
}

/**
 * Holds one session for as long as it samples: disconnecting the session that started the profiler ends it. The session
 * is a local one of this thread; one that came from another thread would print "Waiting for the debugger to disconnect"
 * when the process exits.
 *
 * V8 does not reveal the session that started its one profiler. A start while it runs succeeds without effect and a stop by
 * any session stops it for all, so a user that sampled before this start counts as its owner until it stops. It is not
 * noticed when another user stops this one and starts its own between two calls.
 */
export function createHeapSampler(openSession: () => Session): HeapSampler {
  let session: Session | undefined
  let sampler: SamplerState = 'stopped'

  const letGo = (): void => {
    session?.disconnect()
    session = undefined
    sampler = 'stopped'
  }

  const profile = (): SamplingProfile | undefined => {
    const taken = session && readProfile(session)
    if (!taken) sampler = 'stopped'
    return taken
  }

  return {
    start(intervalBytes) {
      if (sampler !== 'stopped') return sampler
      letGo()
      session = openSession()
      if (readProfile(session)) return (sampler = 'foreign')
      startSampling(session, intervalBytes)
      return (sampler = 'ours')
    },
    read() {
      const taken = profile()
      const samples = taken?.samples.length ?? 0
      return { samples, json: samples > 0 ? toJson(taken) : '' }
    },
    profile,
    state: () => sampler,
    stop: letGo,
  }
}

/** `undefined` while no sampler runs, which V8 reports as an error. */
function readProfile(session: Session): SamplingProfile | undefined {
  let profile: SamplingProfile | undefined
  session.post('HeapProfiler.getSamplingProfile', (_error, answer) => {
    profile = answer?.profile as unknown as SamplingProfile | undefined
  })
  return profile
}

function startSampling(session: Session, samplingInterval: number): void {
  let failure: Error | null = new Error('the inspector did not answer')
  session.post('HeapProfiler.startSampling', { samplingInterval }, (error) => {
    failure = error
  })
  if (failure) throw failure
}
