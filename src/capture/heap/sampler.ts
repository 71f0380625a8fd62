import type { Session } from 'node:inspector'
import { toJson } from '../../base/globals'
import type { SamplerState } from '../main-thread/orders'
import type { SamplingProfile } from './allocation-sites'

/** Mean number of allocated bytes between two samples: sampling then costs nothing measurable, and shows leaks of a few MB. */
export const SAMPLING_INTERVAL_BYTES = 512 * 1024

/** Log line for when another user of V8's sampling heap profiler has stopped it. */
export const STARTED_AGAIN =
  "other code in this process stopped V8's sampling heap profiler; the profiler has been started again"

/**
 * V8's sampling heap profiler of the calling thread. All its users in that thread (this library, the application, a
 * debugger) share one profiler. All methods are synchronous.
 */
export interface HeapSampler {
  /** Starts sampling, unless this sampler has started it already or knows that another user has. */
  start(intervalBytes: number): SamplerState
  /**
   * Reads the samples as JSON (`''` if there are none), and forces one full GC. If an addon such as @datadog/pprof has started the
   * profiler, V8 may not collect. Returns no samples, without a GC, while the profiler does not run.
   */
  read(): { samples: number; json: string }
  /** Reads the samples as an object; for the GC see {@link read}. `undefined` while the profiler does not run. */
  profile(): SamplingProfile | undefined
  state(): SamplerState
  /** Number of times that sampling was started. After each start, V8 numbers call paths and samples anew. */
  run(): number
  /** Stops the profiler if this sampler started it. Idempotent. */
  stop(): void
}

/**
 * Creates a sampler, which holds one inspector session while it samples: V8 stops the profiler when the session that
 * started it disconnects. The session belongs to this thread, because an open session from another thread would print
 * "Waiting for the debugger to disconnect" when the process exits.
 *
 * V8 does not reveal which session started its one profiler. A second start succeeds without effect, and a stop by any
 * session stops the profiler for all. So if the profiler runs before the first start here, another user counts as its
 * owner until it stops. If another user stops the profiler and starts it again between two calls, that is not noticed.
 */
export function createHeapSampler(openSession: () => Session): HeapSampler {
  let session: Session | undefined
  let sampler: SamplerState = 'stopped'
  let run = 0

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
      run++
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
    run: () => run,
    stop: letGo,
  }
}

/** Reads the sampling profile; `undefined` while the profiler does not run, which V8 reports as an error. */
function readProfile(session: Session): SamplingProfile | undefined {
  let profile: SamplingProfile | undefined
  session.post('HeapProfiler.getSamplingProfile', (_error, answer) => {
    profile = answer?.profile as unknown as SamplingProfile | undefined
  })
  return profile
}

function startSampling(session: Session, samplingInterval: number): void {
  let failure: Error | null = new Error('the inspector did not answer to HeapProfiler.startSampling')
  session.post('HeapProfiler.startSampling', { samplingInterval }, (error) => {
    failure = error
  })
  if (failure) throw failure
}
