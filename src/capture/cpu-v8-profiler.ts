import type { CpuWay } from './cpu-way'
import type { MainThread, Orders } from './main-thread'
import { operate } from '../files/step'
import { waitPatiently, type Patience } from './patience'
import { monotonicMs } from '../time/clock'

/**
 * CPU profiles by the v8-profiler-next package. It can only work on the thread that it profiles, so starting, stopping and
 * turning the profile into JSON are orders to the main thread.
 */
export function createV8ProfilerWay(mainThread: MainThread, patience: Patience): CpuWay {
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
        *stop(open) {
          const input = { title, file: open.partialPath }
          const { pauseMs: stopPauseMs } = yield* operate({
            sync: () => orderNow(mainThread, input),
            async: () => {
              const stopping = mainThread.order('stopPackageProfile', input)
              return waitPatiently('stopPackageProfile', stopping, patience)
            },
          })
          return { stopPauseMs }
        },
      }
    },
  }
}

function orderNow(
  { orderNow }: MainThread,
  input: Orders['stopPackageProfile']['input'],
): { pauseMs: number } {
  if (!orderNow) throw new Error('v8-profiler-next can be stopped at once on the main thread only')
  return orderNow('stopPackageProfile', input)
}
