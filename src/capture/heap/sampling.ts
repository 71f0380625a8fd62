import { openArtefact, type OpenArtefact } from '../../files/artefact'
import type { Artefact } from '../../files/sidecar'
import type { CaptureObserver, Job, PassedOver } from '../capture'
import type { MainThread } from '../main-thread/orders'
import { waitPatiently, type Patience } from '../main-thread/patient'
import { monotonicMs } from '../../base/clock'

/** Mean number of bytes between two samples: no measurable cost, and leaks of a few MB show. */
export const SAMPLING_INTERVAL_BYTES = 512 * 1024

/** Name in the `.json` and in the start line. */
export const SAMPLING_WAY = 'sampling'

/** A `.heapprofile`, or why there is none. */
export type SamplingOutcome =
  { readonly artefact: Artefact; readonly pauseMs: number } | { readonly absent: Error }

/** V8's sampling heap profiler, kept running so that some evidence can be written when memory is short. */
export interface HeapSampling {
  /** Writes `<base name>.heapprofile`. Forces one full GC on the main thread. Never rejects, leaves no half file. */
  capture(job: Job, passedOver: readonly PassedOver[]): Promise<SamplingOutcome>
  /** Why there is nothing to capture, as far as known; `undefined` when sampling was started. */
  failure(): Promise<Error | undefined>
  /** Starts the sampler again after a forked child found it stopped by another user, and reports that once. */
  restart(): Promise<void>
  /** Stops the sampler if it is ours. Idempotent, never rejects. */
  close(): Promise<void>
}

/** The parts of heap sampling. */
export interface HeapSamplingParts {
  readonly mainThread: MainThread
  readonly patience: Patience
  readonly observer: CaptureObserver
}

/** Starts the sampler on the main thread, or reads the profile of another user's sampler that runs already. */
export function startHeapSampling({ mainThread, patience, observer }: HeapSamplingParts): HeapSampling {
  const start = async (): Promise<Error | undefined> => {
    try {
      const input = { intervalBytes: SAMPLING_INTERVAL_BYTES }
      await waitPatiently('startSampling', mainThread.order('startSampling', input), patience)
      return undefined
    } catch (error) {
      observer.samplingFailed(error as Error)
      return error as Error
    }
  }
  let started = start()
  let saidStopped = false
  let closed: Promise<void> | undefined

  const restart = async (): Promise<void> => {
    started = start()
    if ((await started) || saidStopped) return
    saidStopped = true
    observer.samplingWasStopped()
  }

  const writeTo = async (open: OpenArtefact, passedOver: readonly PassedOver[]): Promise<SamplingOutcome> => {
    const startedAtMs = monotonicMs()
    const writing = mainThread.order('samplingProfile', { target: open.target })
    const { pauseMs, samples, writtenBytes, sampler } = await waitPatiently(
      'samplingProfile',
      writing,
      patience,
    )
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
      // Only the child noticed: the main thread still believes that its sampler runs, so it is stopped first.
      await waitPatiently('stopSampling', mainThread.order('stopSampling', {}), patience).catch(() => {})
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
        .then(() => waitPatiently('stopSampling', mainThread.order('stopSampling', {}), patience))
        .then(
          () => {},
          () => {},
        )
      return closed
    },
  }
}
