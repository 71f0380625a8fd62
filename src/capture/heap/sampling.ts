import { monotonicMs } from '../../base/time'
import { type OpenArtefact, openArtefact } from '../../files/artefact'
import type { Artefact } from '../../files/sidecar'
import type { CaptureObserver, Job, PassedOver } from '../capture'
import type { PatientMainThread } from '../main-thread/patient'
import { SAMPLING_INTERVAL_BYTES } from './sampler'

/** Name of the method that writes a sampling profile, in a dump's `.json` and in the log line at start. */
export const SAMPLING_WAY = 'sampling'

/** A `.heapprofile` file that was written, or the reason why there is none. */
export type SamplingOutcome =
  { readonly artefact: Artefact; readonly pauseMs: number } | { readonly absent: Error }

/** V8's sampling heap profiler, kept running so that some evidence can be written when memory is short. */
export interface HeapSampling {
  /** Writes `<base name>.heapprofile`. As a rule this forces one full GC on the main thread. Never rejects; a failure leaves no file. */
  capture(job: Job, passedOver: readonly PassedOver[]): Promise<SamplingOutcome>
  /** Why sampling could not be started; `undefined` when it was. */
  failure(): Promise<Error | undefined>
  /** Starts the profiler again after a forked child found that other code had stopped it. Reports only the first such stop. */
  restart(): Promise<void>
  /** Stops the profiler if this library started it. Idempotent, never rejects. */
  close(): Promise<void>
}

/** Starts V8's sampling heap profiler on the main thread. If other code has started it already, that profiler is read instead. */
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
        "there are no samples: other code in this process had stopped V8's sampling heap profiler",
      )
    }
    if (samples === 0) throw new Error('the sampling heap profiler has no samples yet')
    // What other code has started may have another interval, and V8 may not collect for it.
    const own =
      sampler === 'ours' ? { forcedFullGc: true, samplingIntervalBytes: SAMPLING_INTERVAL_BYTES } : {}
    const notes = { ...own, sampler, samples }
    const durationMs = monotonicMs() - startedAtMs
    const how = { way: SAMPLING_WAY, passedOver, pauseMs, durationMs, notes }
    const artefact = await open.publish(how, writtenBytes)
    return { artefact, pauseMs }
  }

  return {
    failure: () => started,
    async restart() {
      // Only the forked child noticed that the profiler was stopped. For the main thread it still runs, so stop it there first.
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
