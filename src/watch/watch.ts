import { isMainThread } from 'node:worker_threads'
import { messageOf, Promise } from '../base/globals'
import type { WorkerBirth } from '../base/thread-figures'
import { type Clock, startLoop, systemClock } from '../base/time'
import type { CaptureObserver, PassedOver } from '../capture/capture'
import { createCpuCapturer } from '../capture/cpu/capturer'
import type { Engines } from '../capture/engines'
import { createHeapCapturer } from '../capture/heap/ladder'
import type { HeapLimitToWatch } from '../capture/heap/limit/allowance'
import { STARTED_AGAIN } from '../capture/heap/sampler'
import type { MainThread } from '../capture/main-thread/orders'
import { ORDER_TIMEOUT_MS } from '../capture/main-thread/patient'
import { createRoomProbe } from '../capture/room-probe'
import { listWorkers } from '../capture/threads/list-workers'
import { type Budget, DumpBudget } from '../dispatch/budget'
import { Dispatcher, type WatchedRule } from '../dispatch/dispatcher'
import type { DumpKind, DumpRequest, DumpResult, Failure, Picture, Report } from '../dispatch/events'
import type { FleetPlan } from '../dispatch/fleet'
import { type FoundDump, reportFoundDump } from '../dispatch/found-dump'
import type { Gate } from '../dispatch/gate'
import { createHeapLimitPlans } from '../dispatch/heap-limit-plans'
import { ThresholdRule } from '../dispatch/threshold-rule'
import type { Sidecar } from '../files/sidecar'
import { takeTurn } from '../system/turn'
import { cpuSampler, memorySampler, ownCpuTime, type Sampler } from '../system/usage'
import { Board, boardRules } from './board'
import { prepareDirectories, retainer } from './directories'
import { createMetrics, type Metric } from './metrics'
import { openFleet } from './open-fleet'
import {
  DEFAULT_SPAN_MS,
  type MainReports,
  ProcessRecord,
  RECORD_INTERVAL_MS,
  type RecordParts,
} from './process-record'

/** Settings of a rule: when to make a dump automatically. */
export interface RuleSettings<Threshold = number> {
  readonly intervalMs: number
  /** A reading above the threshold counts towards a dump. It has the unit of the metric, such as percent of one core or bytes. */
  readonly threshold: Threshold
  /** Number of readings in a row above the threshold that make a dump. */
  readonly counter: number
  readonly budget: Budget
}

/** A rule of the option `rules`. */
export interface NamedRule<Threshold = number> extends RuleSettings<Threshold> {
  readonly name: string
  readonly metric: Metric
  /** Kind of dump that the rule makes. */
  readonly dump: DumpKind
}

/** Settings of one kind of dump. */
export interface KindSettings<Threshold = number> {
  /** Absolute path of the dump directory. Set even for a kind that is not watched, because manual dumps need it. */
  readonly directory: string
  /** The rule for automatic dumps; absent when the kind is not watched. */
  readonly rule?: RuleSettings<Threshold> | undefined
}

export interface CpuSettings<Threshold = number> extends KindSettings<Threshold> {
  readonly profileDurationMs: number
  /**
   * Time for which the event loop must be blocked before a CPU dump is made, ms; `undefined`: no such dump. Works only if
   * the watch runs on a thread of its own, not on the main thread.
   */
  readonly blockedMs: number | undefined
}

export interface MemorySettings<Threshold = number> extends KindSettings<Threshold> {
  /** Whether to keep V8's sampling heap profiler on. */
  readonly sampling: boolean
  /** Whether heap snapshots are written without the contents of the heap, such as strings and numbers. */
  readonly redact: boolean
}

/** All settings of a {@link Watch}, as plain data that can be sent to another thread. */
export interface WatchSettings {
  readonly cpu: CpuSettings
  readonly memory: MemorySettings
  readonly rules: readonly NamedRule[]
  /** Kernel ids of the threads of V8 and of libuv's pool. */
  readonly threads: Pick<RecordParts, 'known'>
  /** How to open the budget that many processes share (option `fleet`). */
  readonly fleet?: FleetPlan | undefined
  /** Settings of dumps at V8's heap limit; absent when nothing is done there. */
  readonly heapLimit?: HeapLimitToWatch | undefined
  /**
   * Whether the monitor was started by preload (`node -r`). Preload also reaches processes that the user did not mean, so
   * nothing is created in the dump directories before the first dump.
   */
  readonly isPreloaded?: boolean
  /** Shared memory of a {@link Board}, from which the main thread reads the counters of the rules. */
  readonly board: SharedArrayBuffer
  readonly engines: Engines
  /** Number of dumps that are kept in a directory for each prefix of file names, such as `leak-memory`; `false`: all. */
  readonly keep: number | false
  /** Whether dumps are uploaded from their directories by a function that `uploadTo()` has made. */
  readonly isSent?: boolean | undefined
  readonly where: Omit<Sidecar['where'], 'directory' | 'startedAt'>
}

/** For each kind of dump, the methods that can be used in this process, best first, and those that cannot, with the reason. */
export type Ways = Readonly<
  Record<DumpKind, { readonly available: readonly string[]; readonly passedOver: readonly PassedOver[] }>
> & {
  /** Source of the CPU readings. Absent when CPU is not watched. */
  readonly cpuReadings?: string | undefined
}

/** New settings of running rules. A rule that is absent stays as it is. */
export interface RuleChanges {
  readonly cpu?: Pick<CpuSettings, 'rule' | 'profileDurationMs'> | undefined
  readonly memory?: Pick<MemorySettings, 'rule'> | undefined
  readonly rules?: readonly NamedRule[] | undefined
}

/**
 * Takes the readings of the rules, but for those whose metric is a function of the application (`observe` gets them), and makes the
 * dumps. May run on any thread.
 */
export interface Watch {
  /** Changes rules while they run. */
  update(changes: RuleChanges): void
  /** Requests a dump. Never rejects. */
  request(request: Omit<DumpRequest, 'early'>): Promise<DumpResult>
  /**
   * Receives a reading of a rule whose metric is a function of the application.
   *
   * @param sinceMs - Monotonic time at which the span that the reading covers began, ms.
   */
  observe(rule: string, value: number, sinceMs: number): void
  /** Called when the main thread has started a worker thread. */
  noteWorker(birth: WorkerBirth): void
  /** Stops loops, dispatcher and captures; resolves when the last file is closed. Idempotent. */
  stop(): Promise<void>
}

/** A watch that runs on the calling thread. */
export interface LocalWatch extends Watch {
  readonly dispatcher: Dispatcher
  ways(): Ways
}

/** Objects that a watch needs on its thread: access to the main thread, and receivers of its results. */
export interface WatchSurroundings {
  readonly mainThread: MainThread
  readonly gate: Gate
  readonly report: Report
  /** Reports of the main thread about itself. */
  readonly main: MainReports
  /** Whether this watch replaces one whose thread has died. If so, the dump directories are not prepared again. */
  readonly isTakingOver?: boolean
  /** Called with `true` when a dump begins, and with `false` when it has ended, whatever its outcome. */
  readonly onRunning?: (isRunning: boolean) => void
  /** Called with the pid when a forked child begins to write the dump, and with `undefined` when the child has ended. */
  readonly onChild?: (pid: number | undefined) => void
  /** Called for a dump at V8's heap limit that is found in the directory. @default reports it from the calling thread */
  readonly onFound?: (found: FoundDump) => void
}

/** Longest wait for the heap snapshots of other processes, ms: the time that a forked child may take for one snapshot. */
const LONGEST_TURN_MS = 120_000

const waitForTurn = (early: AbortSignal) => takeTurn({ longestMs: LONGEST_TURN_MS, early })

/** Starts a watch on the calling thread: the loops that take readings, and the dispatcher, which decides on dumps. */
export function startWatch(settings: WatchSettings, surroundings: WatchSurroundings): LocalWatch {
  const { cpu, memory, engines, keep, isSent, where } = settings
  const { mainThread, gate, report, main, isTakingOver, onRunning, onChild } = surroundings
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
      redact: memory.redact,
    }),
  }
  const rules = rulesOf(settings)
  const watched = new Map(rules.map((rule) => [rule.name, watchedRule(rule)]))
  const needsFigures = rules.some(({ metric }) => metric === 'heap' || metric === 'external')
  const record = new ProcessRecord({ ...settings.threads, main, needsFigures })
  if (rules.some(({ metric }) => metric.startsWith('eventLoop'))) main.wantLoop()
  let { profileDurationMs } = cpu
  const dispatcher = new Dispatcher({
    cpu: { capturer: capturers.cpu, directory: cpu.directory },
    memory: { capturer: capturers.memory, directory: memory.directory, takeTurn: waitForTurn },
    rules: [...watched.values()],
    gate,
    fleet: openFleet(settings.fleet, report, isTakingOver),
    clock: systemClock,
    report,
    get profileDurationMs() {
      return profileDurationMs
    },
    where,
    picture: (sinceMs, early) => takePicture(record, mainThread, sinceMs, early),
    retain: retainer(where.host, keep, report, isSent),
    onRunning,
  })
  const board = new Board(settings.board, boardRules(settings.rules))
  const observed: Pick<Dispatcher, 'observe'> = {
    observe(name, value, sinceMs) {
      dispatcher.observe(name, value, sinceMs)
      const { rule, budget } = watched.get(name) ?? {}
      if (!rule || !budget) return
      const atEpochMs = systemClock.epochMs()
      board.write(name, value, atEpochMs, rule.breaches, budget.left)
      if (report.wantsReadings?.() ?? board.isWanted)
        report.reading?.({ rule: name, value, threshold: rule.threshold, atEpochMs })
    },
  }
  const cpuTime =
    cpu.rule &&
    ownCpuTime((why) => report.notice(`CPU readings come from Node's counters from now on: ${why}`))
  const samplers = {
    cpu: () => cpuTime && cpuSampler(cpuTime),
    memory: memorySampler,
    ...createMetrics(main),
  }
  const stopLoops = rules.flatMap((rule) => {
    const { name, intervalMs } = rule
    const threshold = (): number => watched.get(name)?.rule.threshold ?? rule.threshold
    const sampler = rule.metric === 'function' ? undefined : samplers[rule.metric](threshold)
    if (!sampler) return []
    const isMean = MEAN_METRICS.has(rule.metric)
    const onReading = () => record.mark()
    return startReadingLoop({
      name,
      intervalMs,
      isMean,
      sampler,
      dispatcher: observed,
      clock: systemClock,
      report,
      onReading,
    })
  })
  // On another thread the record costs the application no time. On the main thread it is kept only if there are rules.
  if (!isMainThread || rules.length > 0) stopLoops.push(startLoop(RECORD_INTERVAL_MS, read(record)))
  const { heapLimit } = settings
  if (heapLimit && memory.rule) {
    const { probe } = common
    const { directory, rule } = memory
    const round = createHeapLimitPlans({
      picture: () => record.picture(systemClock.monotonicMs() - DEFAULT_SPAN_MS),
      heapLimit,
      directory,
      budget: () => watched.get('memory')?.budget.terms ?? rule.budget,
      keep,
      isSent,
      redact: memory.redact,
      where,
      probe,
      report,
      onFound: surroundings.onFound ?? ((found) => reportFoundDump(found, where.pid, report)),
    })
    stopLoops.push(startLoop(rule.intervalMs, round))
  }
  return {
    dispatcher,
    request: (request) => dispatcher.request(request),
    update(changes) {
      if (changes.cpu) ({ profileDurationMs } = changes.cpu)
      const changed = [
        ...(['cpu', 'memory'] as const).map((kind) => [kind, changes[kind]?.rule] as const),
        ...(changes.rules ?? []).map((rule) => [rule.name, rule] as const),
      ]
      for (const [name, change] of changed) {
        const running = watched.get(name)
        if (!change || !running) continue
        running.rule.change(change.threshold, change.counter)
        const { tokensPerInterval, intervalMs } = running.budget.terms
        const isSame =
          change.budget.tokensPerInterval === tokensPerInterval && change.budget.intervalMs === intervalMs
        if (!isSame) running.budget.change(change.budget)
      }
    },
    observe: (rule, value, sinceMs) => observed.observe(rule, value, sinceMs),
    noteWorker: (birth) => record.noteWorker(birth),
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

/** A rule in the form that the reading loops need: here the rules `cpu` and `memory` also have a name and a metric. */
interface RuleToWatch extends RuleSettings {
  readonly name: string
  readonly kind: DumpKind
  readonly metric: DumpKind | Metric
}

/** Metrics whose reading covers the time since the previous reading. Memory metrics are read at one moment. */
const MEAN_METRICS: ReadonlySet<RuleToWatch['metric']> = new Set([
  'cpu',
  'eventLoopDelay',
  'eventLoopUtilization',
])

function rulesOf({ cpu, memory, rules }: WatchSettings): RuleToWatch[] {
  return [
    ...(cpu.rule ? [{ ...cpu.rule, name: 'cpu', kind: 'cpu', metric: 'cpu' } as const] : []),
    ...(memory.rule ? [{ ...memory.rule, name: 'memory', kind: 'memory', metric: 'memory' } as const] : []),
    ...rules.map(({ dump, ...rule }) => ({ ...rule, kind: dump })),
  ]
}

function watchedRule({ name, kind, metric, threshold, counter, budget }: RuleToWatch): WatchedRule {
  return { name, kind, metric, rule: new ThresholdRule(threshold, counter), budget: new DumpBudget(budget) }
}

/** Shortest time span for which a dump describes the CPU use of threads, ms. Over less time the figures would be mostly noise. */
const LEAST_SPAN_MS = 1000

async function takePicture(
  record: ProcessRecord,
  mainThread: MainThread,
  sinceMs: number | undefined,
  early: AbortSignal,
): Promise<Picture> {
  const answers = await listWorkers(mainThread, early)
  const nowMs = systemClock.monotonicMs()
  const fromMs = Math.min(sinceMs ?? nowMs - DEFAULT_SPAN_MS, nowMs - LEAST_SPAN_MS)
  return record.picture(fromMs, answers)
}

function read(record: ProcessRecord): () => Promise<void> {
  return () => {
    record.read()
    return Promise.resolve()
  }
}

function observerFor(report: Report, onChild: WatchSurroundings['onChild']): CaptureObserver {
  return {
    orderLate: (order) =>
      report.notice(
        `the main thread has not responded to the call ${order} for ${ORDER_TIMEOUT_MS} ms: ` +
          `it is in one long native call, or gets no CPU; the monitor keeps waiting`,
      ),
    childAtWork: (pid) => onChild?.(pid),
    samplingWasStopped: () => report.notice(STARTED_AGAIN),
    samplingFailed: (error) =>
      report.failure({ stage: 'sampling profile', kind: 'memory', message: error.message, error }),
  }
}

export interface ReadingLoopParts {
  /** Name of the rule that the readings are for. */
  readonly name: string
  readonly intervalMs: number
  /** Whether a reading covers the time since the previous reading (`true`) or one moment (`false`). */
  readonly isMean: boolean
  readonly sampler: Sampler
  readonly dispatcher: Pick<Dispatcher, 'observe'>
  readonly clock: Pick<Clock, 'monotonicMs'>
  readonly report: Pick<Report, 'failure' | 'notice'>
  /** Called before each reading. Must not throw. */
  readonly onReading?: () => void
}

/**
 * Takes the readings of one rule at its interval and passes each to the dispatcher.
 *
 * Reports when readings begin to fail and when they succeed again; a failed reading never ends the loop.
 *
 * @returns A function that stops the loop; its promise resolves when a reading under way has ended.
 */
export function startReadingLoop(parts: ReadingLoopParts): () => Promise<void> {
  const { name, intervalMs, isMean, sampler, dispatcher, clock, report, onReading } = parts
  let isFailing = false
  let previousMs: number | undefined
  return startLoop(intervalMs, async () => {
    const beganMs = clock.monotonicMs()
    try {
      onReading?.()
      const value = await sampler.sample()
      if (value !== undefined) dispatcher.observe(name, value, isMean ? (previousMs ?? beganMs) : beganMs)
      if (isFailing) report.notice(`${name} readings work again`)
      isFailing = false
      previousMs = beganMs
    } catch (error) {
      if (!isFailing) {
        const message = messageOf(error)
        report.failure({ stage: 'sampling', ...ruleOf(name), message, error })
      }
      isFailing = true
      previousMs = undefined
    }
  })
}

function ruleOf(name: string): Pick<Failure, 'kind' | 'rule'> {
  return name === 'cpu' || name === 'memory' ? { kind: name } : { rule: name }
}
