import { systemClock } from '../base/clock'
import { Promise } from '../base/globals'
import type { CaptureObserver, PassedOver } from '../capture/capture'
import { createCpuCapturer } from '../capture/cpu/capturer'
import type { Engines } from '../capture/engines'
import { createHeapCapturer } from '../capture/heap/ladder'
import type { MainThread } from '../capture/main-thread/orders'
import { ORDER_TIMEOUT_MS } from '../capture/main-thread/patient'
import { createRoomProbe } from '../capture/room-probe'
import type { HeapLimitToWatch } from '../capture/heap/limit/allowance'
import { DumpBudget, type Budget } from '../dispatch/budget'
import { Dispatcher, type KindParts } from '../dispatch/dispatcher'
import type { DumpKind, DumpResult, Report } from '../dispatch/events'
import type { Gate } from '../dispatch/gate'
import { createHeapLimitPlans } from '../dispatch/heap-limit-plans'
import type { DumpRequest } from '../dispatch/request'
import { ThresholdRule } from '../dispatch/threshold-rule'
import type { Sidecar } from '../files/sidecar'
import { takeTurn } from '../system/turn'
import { cpuSampler, memorySampler, ownCpuTime } from '../system/usage'
import { prepareDirectories, retainer } from './directories'
import { startLoop } from '../base/loop'
import { Board, BOARD_RULES } from './board'
import { startReadingLoop } from './reading-loop'

/** When a kind of dump is made by itself. */
export interface RuleSettings<Threshold = number> {
  readonly intervalMs: number
  /** Percent of one core, or bytes, once it is a number. */
  readonly threshold: Threshold
  readonly counter: number
  readonly budget: Budget
}

/** One kind of dump. */
export interface KindSettings<Threshold = number> {
  /** Absolute. Manual dumps need one even for a kind that is not watched. */
  readonly directory: string
  /** Absent when the kind is not watched. */
  readonly rule?: RuleSettings<Threshold> | undefined
}

export interface CpuSettings<Threshold = number> extends KindSettings<Threshold> {
  readonly profileDurationMs: number
  /** Time without a beat of the main thread that trips a CPU dump, ms. Only a watch on another thread can use it. */
  readonly blockedMs: number | undefined
}

export interface MemorySettings<Threshold = number> extends KindSettings<Threshold> {
  /** Keep V8's sampling heap profiler on. */
  readonly sampling: boolean
}

/** All that a watch needs, as plain data: it can travel to another thread. */
export interface WatchSettings {
  readonly cpu: CpuSettings
  readonly memory: MemorySettings
  /** Absent: nothing is done at V8's heap limit. */
  readonly heapLimit?: HeapLimitToWatch | undefined
  /** Started without code, perhaps in a process that it is not meant for: the directories are left alone until a dump. */
  readonly isPreloaded?: boolean
  /** Where the main thread looks up the readings. */
  readonly board: SharedArrayBuffer
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

/** The rules as they are from now on, of the kinds that change. */
export interface RuleChanges {
  readonly cpu?: Pick<CpuSettings, 'rule' | 'profileDurationMs'> | undefined
  readonly memory?: Pick<MemorySettings, 'rule'> | undefined
}

/** The loops and the dispatcher, on whichever thread they run. */
export interface Watch {
  /** Changes rules while they run. */
  update(changes: RuleChanges): void
  /** Requests a dump. Never rejects. */
  request(request: Omit<DumpRequest, 'early'>): Promise<DumpResult>
  /** Stops loops, dispatcher and captures; resolves when the last file is closed. Idempotent. */
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
  /** Called when a dump begins and when it has ended. */
  readonly onRunning?: (isRunning: boolean) => void
  /** Called when a forked child begins to write the dump, and, with `undefined`, when it has ended. */
  readonly onChild?: (pid: number | undefined) => void
}

/** As long as a forked child may take: a neighbour's dump is over by then, or the next is about to begin. ms. */
const LONGEST_TURN_MS = 120_000

const waitForTurn = (early: AbortSignal) => takeTurn({ longestMs: LONGEST_TURN_MS, early })

/** Builds samplers, loops, captures and the dispatcher on the thread that calls. */
export function startWatch(settings: WatchSettings, surroundings: WatchSurroundings): LocalWatch {
  const { cpu, memory, engines, keep, where } = settings
  const { mainThread, gate, report, isTakingOver, onRunning, onChild } = surroundings
  const directories = [cpu.directory, memory.directory]
  const isLeftAlone = isTakingOver || settings.isPreloaded
  const prepared = isLeftAlone ? Promise.resolve() : prepareDirectories(directories, where.host, report)
  const common = { mainThread, probe: createRoomProbe(), observer: observerFor(report, onChild) }
  const capturers = {
    cpu: createCpuCapturer({ ...common, engine: engines.cpu }),
    memory: createHeapCapturer({
      ...common,
      engine: engines.memory,
      sampling: memory.sampling,
    }),
  }
  const watchedBy = (rule: RuleSettings | undefined): KindParts['watched'] =>
    rule && { rule: new ThresholdRule(rule.threshold, rule.counter), budget: new DumpBudget(rule.budget) }
  const watched = { cpu: watchedBy(cpu.rule), memory: watchedBy(memory.rule) }
  const partsOf = (kind: DumpKind): KindParts => ({
    capturer: capturers[kind],
    directory: settings[kind].directory,
    watched: watched[kind],
    ...(kind === 'memory' && { takeTurn: waitForTurn }),
  })
  let { profileDurationMs } = cpu
  const dispatcher = new Dispatcher({
    cpu: partsOf('cpu'),
    memory: partsOf('memory'),
    gate,
    clock: systemClock,
    report,
    get profileDurationMs() {
      return profileDurationMs
    },
    where,
    retain: retainer(where.host, keep, report),
    onRunning,
  })
  const board = new Board(settings.board, BOARD_RULES)
  const observed: Pick<Dispatcher, 'observe'> = {
    observe(kind, value, sinceMs) {
      dispatcher.observe(kind, value, sinceMs)
      const { rule, budget } = watched[kind] ?? {}
      if (!rule || !budget) return
      const atEpochMs = systemClock.epochMs()
      board.write(kind, value, atEpochMs, rule.breaches, budget.left)
      if (report.wantsReadings?.() ?? board.isWanted)
        report.reading?.({ rule: kind, value, threshold: rule.threshold, atEpochMs })
    },
  }
  const cpuTime =
    cpu.rule &&
    ownCpuTime((why) => report.notice(`CPU readings come from Node's counters from now on: ${why}`))
  const stopLoops = (['cpu', 'memory'] as const).flatMap((kind) => {
    const { rule } = settings[kind]
    if (!rule) return []
    const { intervalMs } = rule
    const sampler = kind === 'cpu' && cpuTime ? cpuSampler(cpuTime) : memorySampler()
    return startReadingLoop({ kind, intervalMs, sampler, dispatcher: observed, clock: systemClock, report })
  })
  const { heapLimit } = settings
  if (heapLimit && memory.rule) {
    const { probe } = common
    const { directory, rule } = memory
    const round = createHeapLimitPlans({
      heapLimit,
      directory,
      budget: rule.budget,
      keep,
      where,
      probe,
      report,
    })
    stopLoops.push(startLoop(rule.intervalMs, round))
  }
  return {
    dispatcher,
    request: (request) => dispatcher.request(request),
    update(changes) {
      if (changes.cpu) ({ profileDurationMs } = changes.cpu)
      for (const kind of ['cpu', 'memory'] as const) {
        const [change, running] = [changes[kind]?.rule, watched[kind]]
        if (!change || !running) continue
        running.rule.change(change.threshold, change.counter)
        const { tokensPerInterval, intervalMs } = running.budget.terms
        const isSame =
          change.budget.tokensPerInterval === tokensPerInterval && change.budget.intervalMs === intervalMs
        if (!isSame) running.budget.change(change.budget)
      }
    },
    ways: () => ({
      cpu: capturers.cpu.ways(),
      memory: capturers.memory.ways(),
      cpuReadings: cpuTime?.source,
    }),
    async stop() {
      await Promise.all(stopLoops.map((stopLoop) => stopLoop()))
      await dispatcher.stop()
      await prepared
      await capturers.memory.close()
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
