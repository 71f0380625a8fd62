import type { Session } from 'node:inspector'
import { toJson } from '../../base/globals'
import type { SamplerState } from '../main-thread/orders'
import type { SamplingProfile } from './allocation-sites'

/** Mean number of bytes between two samples: no measurable cost, and leaks of a few MB show. */
export const SAMPLING_INTERVAL_BYTES = 512 * 1024

/** Log line. */
export const STARTED_AGAIN =
  'another user of the sampling heap profiler stopped it; it has been started again'

/** V8's sampling heap profiler, of which a process has one for all its users. Synchronous, for the calling thread. */
export interface HeapSampler {
  /** Starts sampling, unless it is known to run already. */
  start(intervalBytes: number): SamplerState
  /** Reads the samples since the start; none if another user has stopped the profiler. Forces one full GC. */
  read(): { samples: number; json: string }
  /** Reads the samples as an object; `undefined` while the profiler does not run: then no GC is forced. */
  profile(): SamplingProfile | undefined
  state(): SamplerState
  /** Number of the latest start, from 1. V8 numbers call paths and samples anew after each. */
  run(): number
  /** Stops the profiler if this sampler started it. Idempotent. */
  stop(): void
}

/**
 * Holds one inspector session for as long as it samples: disconnecting the session that started the profiler ends it.
 * The session is a local one of this thread; one from another thread would print "Waiting for the debugger to
 * disconnect" when the process exits.
 *
 * V8 does not reveal which session started its one profiler. A start while it runs succeeds without effect and a stop
 * by any session stops it for all, so a user that sampled before this start counts as its owner until it stops. If
 * another user stops this sampler and starts its own between two calls, that is not noticed.
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
