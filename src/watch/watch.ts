import type { MainThread } from '../capture/main-thread/orders'
import type { Engines } from '../capture/engines'
import type { CaptureObserver, PassedOver } from '../capture/capture'
import { createCpuCapturer } from '../capture/cpu/capturer'
import { createHeapCapturer } from '../capture/heap/ladder'
import { ORDER_TIMEOUT_MS } from '../capture/main-thread/patient'
import { createRoomProbe } from '../capture/room-probe'
import { ThresholdRule } from '../dispatch/threshold-rule'
import type { DumpRequest } from '../dispatch/dispatcher'
import { Dispatcher } from '../dispatch/dispatcher'
import type { Budget } from '../dispatch/budget'
import { DumpBudget } from '../dispatch/dump-budget'
import type { DumpKind, DumpResult, Report } from '../dispatch/events'
import type { Gate } from '../dispatch/gate'
import type { Sidecar } from '../files/sidecar'
import { cpuSampler, memorySampler } from '../system/samplers'
import { ownCpuTime } from '../system/usage'
import { systemClock } from '../base/watch-clock'
import { prepareDirectories, retainer } from './directories'
import { startReadingLoop } from './reading-loop'
import { Promise } from '../base/globals'

/** One kind's rule, with its threshold as a number that readings can be compared with. */
export interface RuleToWatch {
  readonly intervalMs: number
  readonly threshold: number
  readonly counter: number
}

/** All that a watch must know, as plain data: it can travel to another thread. */
export interface WatchSettings {
  readonly rules: { readonly [Kind in DumpKind]?: RuleToWatch | undefined }
  readonly budgets: { readonly [Kind in DumpKind]: Budget }
  readonly directories: { readonly [Kind in DumpKind]: string }
  readonly profileDurationMs: number
  /** Time without a beat of the main thread that trips a CPU dump, ms. Only a watch on another thread can use it. */
  readonly blockedMs: number | undefined
  readonly sampling: boolean
  readonly engines: Engines
  /** Dumps kept per kind of name; `false`: all. */
  readonly keep: number | false
  readonly where: Omit<Sidecar['where'], 'directory' | 'startedAt'>
}

/** Names of the ways in which each kind can be dumped here, best first, and those that cannot, with the reason. */
export type Ways = Readonly<
  Record<DumpKind, { readonly available: readonly string[]; readonly passedOver: readonly PassedOver[] }>
> & {
  /** Where the CPU readings come from. Absent when CPU is not watched. */
  readonly cpuReadings?: string | undefined
}

/** The loops and the dispatcher, on whichever thread they run. */
export interface Watch {
  /** Asks for a dump. Never rejects. */
  request(request: Omit<DumpRequest, 'early'>): Promise<DumpResult>
  /** Undoes everything; resolves when the last file is closed. Idempotent. */
  stop(): Promise<void>
}

/** A watch seen from the thread that it runs on. */
export interface LocalWatch extends Watch {
  readonly dispatcher: Dispatcher
  ways(): Ways
}

/** What a watch finds where it runs. */
export interface WatchSurroundings {
  readonly mainThread: MainThread
  readonly gate: Gate
  readonly report: Report
  /** An earlier watch of this process has prepared the directories and reported about them. */
  readonly isTakingOver?: boolean
  /** Told when a dump begins and when it has ended. */
  readonly onRunning?: (isRunning: boolean) => void
  /** Told when a dump is in the hands of a forked child, and, with `undefined`, when it is no more. */
  readonly onChild?: (pid: number | undefined) => void
}

/** Builds samplers, loops, captures and the dispatcher on the thread that calls. */
export function startWatch(
  settings: WatchSettings,
  { mainThread, gate, report, isTakingOver, onRunning, onChild }: WatchSurroundings,
): LocalWatch {
  const { rules, budgets, directories, engines, keep, where } = settings
  const prepared = isTakingOver ? Promise.resolve() : prepareDirectories(directories, where.host, report)
  const common = { mainThread, probe: createRoomProbe(), observer: observerFor(report, onChild) }
  const capturers = {
    cpu: createCpuCapturer({ ...common, engine: engines.cpu }),
    memory: createHeapCapturer({
      ...common,
      engine: engines.memory,
      sampling: settings.sampling,
      nodeMajor: Number.parseInt(process.versions.node, 10),
    }),
  }
  const lineOf = (kind: DumpKind) => {
    const rule = rules[kind]
    return {
      capturer: capturers[kind],
      budget: new DumpBudget(budgets[kind]),
      directory: directories[kind],
      rule: rule && new ThresholdRule(rule.threshold, rule.counter),
    }
  }
  const dumpLines = { cpu: lineOf('cpu'), memory: lineOf('memory') }
  const dispatcher = new Dispatcher({
    ...dumpLines,
    gate,
    clock: systemClock,
    report,
    profileDurationMs: settings.profileDurationMs,
    where,
    retain: retainer(where.host, keep, report),
    onRunning,
  })
  const cpuTime =
    rules.cpu &&
    ownCpuTime((why) => report.notice(`CPU readings come from Node's counters from now on: ${why}`))
  const stopLoops = (['cpu', 'memory'] as const).flatMap((kind) => {
    const rule = rules[kind]
    if (!rule) return []
    const sampler = kind === 'cpu' && cpuTime ? cpuSampler(cpuTime) : memorySampler()
    return startReadingLoop({
      kind,
      intervalMs: rule.intervalMs,
      sampler,
      dispatcher,
      clock: systemClock,
      report,
    })
  })
  return {
    dispatcher,
    request: (request) => dispatcher.request(request),
    ways: () => ({
      cpu: capturers.cpu.ways(),
      memory: capturers.memory.ways(),
      cpuReadings: cpuTime?.source,
    }),
    async stop() {
      await Promise.all(stopLoops.map((stopLoop) => stopLoop()))
      await dispatcher.stop()
      await prepared
      await Promise.all([capturers.cpu.close(), capturers.memory.close()])
    },
  }
}

function observerFor(report: Report, onChild: WatchSurroundings['onChild']): CaptureObserver {
  return {
    orderLate: (order) =>
      report.notice(
        `the main thread has not taken the order ${order} for ${ORDER_TIMEOUT_MS} ms: ` +
          `it sits in one long native call, or gets no CPU; waiting`,
      ),
    childAtWork: (pid) => onChild?.(pid),
    samplingWasStopped: () =>
      report.notice('another user of the sampling heap profiler stopped it; it has been started again'),
    samplingFailed: (error) =>
      report.failure({ stage: 'sampling profile', kind: 'memory', message: error.message, error }),
  }
}
