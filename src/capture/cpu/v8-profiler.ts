import { monotonicMs } from '../../base/time'
import type { Orders } from '../main-thread/orders'
import { ORDER_DEADLINE_MS, type PatientMainThread } from '../main-thread/patient'
import type { CpuWay, StoppedProfile } from './way'

/**
 * Takes CPU profiles with the v8-profiler-next package. The package works only on the thread that it profiles. So the
 * main thread is asked to start and to stop the profile, and to write it as JSON.
 */
export function createV8ProfilerWay(mainThread: PatientMainThread): CpuWay {
  const { orderNow } = mainThread
  return {
    name: 'v8-profiler-next',
    async start({ title, samplingIntervalUs, early }) {
      const askedAtMs = monotonicMs()
      const { pauseMs } = await mainThread.order(
        'startPackageProfile',
        { title, samplingIntervalUs },
        { early, onTooLate: () => void mainThread.order('stopPackageProfile', { title }).catch(() => {}) },
      )
      return {
        startPauseMs: pauseMs,
        acceptedAfterMs: Math.max(0, monotonicMs() - askedAtMs - pauseMs),
        forgetOptimizedCode: async () => {
          // With its own deadline, this order (request) is never reported as late: no other part of the dump waits for it.
          const wait = { deadlineMs: ORDER_DEADLINE_MS }
          return (await mainThread.order('forgetOptimizedCode', {}, wait)).pauseMs
        },
        stop: async (target) => stopped(await mainThread.order('stopPackageProfile', { title, target })),
        stopNow: orderNow && ((target) => stopped(orderNow('stopPackageProfile', { title, target }))),
      }
    },
  }
}

function stopped({ pauseMs, writtenBytes }: Orders['stopPackageProfile']['output']): StoppedProfile {
  return { stopPauseMs: pauseMs, pieces: [], writtenBytes }
}
