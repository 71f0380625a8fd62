import { readContainerUse } from '../system/container'
import type { LoopReport } from '../system/loop-meter'
import type { Sampler } from '../system/usage'
import type { MainReports } from './process-record'

/** Quantity that a rule of the option `rules` reads. `function`: the value that a function of the application returns. */
export type Metric =
  'heap' | 'external' | 'eventLoopDelay' | 'eventLoopUtilization' | 'container' | 'function'

/** For each metric, a function that builds its source of readings. The argument returns the rule's current threshold. */
export type Samplers = Readonly<Record<Exclude<Metric, 'function'>, (threshold: () => number) => Sampler>>

/**
 * Creates the samplers (sources of readings) for the metrics of the option `rules`. The main thread reports its own heap
 * and event loop. No report is read twice, and reports of the loop between two readings count as one, with their largest delay.
 * While the main thread is blocked, it sends no report, and the samplers that need one return `undefined`.
 */
export function createMetrics(main: MainReports): Samplers {
  const whenNew = <Report extends { readonly atMs: number }>(
    read: () => Report | undefined,
    valueOf: (report: Report) => number | undefined,
  ): Sampler => {
    let seenAtMs = -Infinity
    return {
      sample() {
        const report = read()
        if (!report || report.atMs <= seenAtMs) return undefined
        seenAtMs = report.atMs
        return valueOf(report)
      },
    }
  }
  const ofLoop = loopSamplers(main)
  return {
    heap: () =>
      whenNew(
        () => main.figures,
        ({ heapUsed, heapLimit }) => (heapUsed / heapLimit) * 100,
      ),
    external: () =>
      whenNew(
        () => main.figures,
        ({ external }) => external,
      ),
    eventLoopDelay: () => ofLoop(({ delayMs }) => delayMs),
    eventLoopUtilization: () => {
      let before: { readonly idleMs: number; readonly activeMs: number } | undefined
      return ofLoop((loop) => {
        const from = before
        before = loop
        if (!from) return undefined
        const activeMs = loop.activeMs - from.activeMs
        return (activeMs / (activeMs + loop.idleMs - from.idleMs)) * 100
      })
    },
    container: (threshold) => ({ sample: () => readContainerUse(threshold()) }),
  }
}

/** Builds the samplers of event loop metrics. Taking a report resets the largest delay, so each report goes to all samplers. */
function loopSamplers(
  main: Pick<MainReports, 'takeLoop'>,
): (valueOf: (loop: LoopReport) => number | undefined) => Sampler {
  /** For each sampler, the report that it has not read yet, with the largest delay since the sampler's previous reading. */
  const pending: { loop?: LoopReport | undefined }[] = []
  let takenAtMs = -Infinity
  const take = (): void => {
    const loop = main.takeLoop()
    if (!loop || loop.atMs <= takenAtMs) return
    takenAtMs = loop.atMs
    for (const each of pending)
      each.loop = { ...loop, delayMs: Math.max(loop.delayMs, each.loop?.delayMs ?? 0) }
  }
  return (valueOf) => {
    const own: { loop?: LoopReport | undefined } = {}
    pending.push(own)
    return {
      sample() {
        take()
        const { loop } = own
        own.loop = undefined
        return loop && valueOf(loop)
      },
    }
  }
}
