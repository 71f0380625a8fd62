import type { CpuWay, StoppedProfile } from './way'
import type { MainThread, Orders } from '../main-thread/orders'
import { waitPatiently, type Patience } from '../main-thread/patient'
import { monotonicMs } from '../../base/clock'

/**
 * CPU profiles by the v8-profiler-next package. It can only work on the thread that it profiles, so starting, stopping and
 * turning the profile into JSON are orders to the main thread.
 */
export function createV8ProfilerWay(mainThread: MainThread, patience: Patience): CpuWay {
  const { orderNow } = mainThread
  return {
    name: 'v8-profiler-next',
    async start({ title, samplingIntervalUs, early }) {
      const askedAtMs = monotonicMs()
      const starting = mainThread.order('startPackageProfile', { title, samplingIntervalUs })
      const { pauseMs } = await waitPatiently('startPackageProfile', starting, patience, early).catch(
        (error: unknown) => {
          // A start that was given up may still happen: have it ended as soon as it has.
          starting.then(() => mainThread.order('stopPackageProfile', { title })).catch(() => {})
          throw error
        },
      )
      return {
        startPauseMs: pauseMs,
        acceptedAfterMs: Math.max(0, monotonicMs() - askedAtMs - pauseMs),
        async stop(target) {
          const stopping = mainThread.order('stopPackageProfile', { title, target })
          return stopped(await waitPatiently('stopPackageProfile', stopping, patience))
        },
        stopNow: orderNow && ((target) => stopped(orderNow('stopPackageProfile', { title, target }))),
      }
    },
  }
}

function stopped({ pauseMs, writtenBytes }: Orders['stopPackageProfile']['output']): StoppedProfile {
  return { stopPauseMs: pauseMs, pieces: [], writtenBytes }
}
