import { hostname } from 'node:os'
import { systemClock } from '../base/clock'
import { messageOf } from '../base/error-text'
import { createStopList } from '../base/stop-list'
import { clearTimeout, setTimeout } from '../base/timers'
import { type Engines, type ResolvedPackage, resolveEngines } from '../capture/engines'
import { loadForkHelper } from '../capture/heap/fork/helper'
import { thresholdAboveHeapLimit } from '../capture/heap/limit/allowance'
import { createHeapSampler, type HeapSampler, SAMPLING_INTERVAL_BYTES } from '../capture/heap/sampler'
import type * as carryOut from '../capture/main-thread/carry-out'
import { openLocalSession, whyNoInspector } from '../capture/main-thread/local-session'
import { poolSize } from '../capture/thread-limit'
import { type ArmedHeapLimit, armHeapLimit } from '../dispatch/arm-heap-limit'
import type { DumpKind, DumpResult } from '../dispatch/events'
import { Gate } from '../dispatch/gate'
import { claim, processRegistry } from '../dispatch/process-registry'
import { chooseReadings, type ChosenReadings } from '../leak/choose-readings'
import type * as leakTrend from '../leak/trend'
import type * as leakWatch from '../leak/watch'
import { threadsAtStart, v8PoolSizeOf } from '../makeup/roster'
import { type Limits, readLimits } from '../system/limits'
import { listThreads, mainThreadId } from '../system/threads'
import { watchWorkerBirths } from '../system/worker-births'
import { startWatchAnywhere } from '../thread/movable-watch'
import { Board, type BoardRow, boardRules } from '../watch/board'
import type { RuleSettings, Watch, WatchSettings, Ways } from '../watch/watch'
import { absoluteThreshold, type Settings, type Threshold } from './options'
import { startRuleFunctions } from './rule-functions'
import { NO_WATCH, type SignalWatch, watchSignal } from './signal'
import { ruleInWords, startLine, startWarnings } from './start-line'
import { resolveUpdate, type Update } from './update'
import type { Voice } from './voice'

/** What runs behind a `Monitor`. */
export interface Monitoring {
  /** Never rejects. */
  dumpByHand(
    kind: DumpKind,
    details: Readonly<Record<string, unknown>>,
    durationMs?: number,
  ): Promise<DumpResult>
  /** What has been read, and what is in force. */
  stats(): WatchStats
  /**
   * Changes what is in force.
   *
   * @throws Before anything has been changed.
   */
  update(update: Update): void
  /** Stops everything. Idempotent, never rejects. */
  stop(): Promise<void>
  /** Stops all that another monitor of this process would meet within the call, and the rest soon after. */
  abandon(): void
}

/** One rule, and what it has read. */
export interface RuleStats {
  /** Percent of one core for `cpu`, bytes for `memory`; of a named rule in the unit of its metric. */
  readonly threshold: number
  readonly counter: number
  /** Readings since the start. */
  readonly readings: number
  /** The latest one, in the unit of the threshold. Absent before the first. */
  readonly latest?: { readonly value: number; readonly atEpochMs: number }
  /** Readings above the threshold in a row. */
  readonly breaches: number
  /** `left`: dumps that it still allowed with the latest reading. */
  readonly budget: { readonly tokensPerInterval: number; readonly intervalMs: number; readonly left: number }
}

export interface WatchStats {
  /** Where readings and decisions are made, in words. Absent until the watch has started. */
  readonly thread?: string
  /** Ways in which each kind can be dumped here, best first. Absent until the watch has started. */
  readonly ways?: Readonly<Record<DumpKind, readonly string[]>>
  /** The kinds that are watched. */
  readonly rules: Readonly<Partial<Record<DumpKind, RuleStats>>>
}

/**
 * The composition root: starts the parts from Settings, and stops them in reverse order.
 *
 * @param isPreloaded - Started without code, perhaps in a process that it is not meant for: no directory is tried out.
 * @throws Error when `cpu` or `memory` is watched in this process already, or when `engine: 'packages'` misses one. Nothing
 * has been started then.
 */
export function startMonitoring(settings: Settings, voice: Voice, isPreloaded = false): Monitoring {
  const kinds = kindsWatched(settings)
  const engines = resolveEngines(settings.engine, kinds.includes('memory') ? [...kinds, 'leak'] : kinds)
  const started = createStopList((error) =>
    voice.failure({ stage: 'stop', message: messageOf(error), error }),
  )
  const unclaim = claim(kinds)
  started.add(unclaim)
  const leakReadings = settings.memory.rule && chooseReadings(engines.leak, systemClock.monotonicMs)

  // Caught before the start line is logged: an operator may send the signal right away, and uncaught it ends the process.
  // Stopped late, for the same reason: a dump that `stop()` waits for can take minutes.
  const signal = catchSignal(settings, voice)
  started.add(() => signal.stop())

  const limits = readLimits()
  const sampler = createHeapSampler(openLocalSession)
  const heapLimit =
    settings.heapLimit && armHeapLimit({ ...settings.heapLimit, ...heapLimitParts(settings, sampler) })
  if (heapLimit) started.add(() => heapLimit.disarm())
  started.add(startGcTime())
  const names = boardRules(settings.rules)
  const boardMemory = Board.create(names)
  const board = new Board(boardMemory, names)
  const watchSettings: WatchSettings = {
    ...watchSettingsOf(settings, engines, limits, heapLimit),
    isPreloaded,
    board: boardMemory,
  }
  let inForce = settings
  let place: { readonly thread: string; readonly ways: Ways } | undefined
  let built: carryOut.OrderTable | undefined
  const orders = () => (built ??= loadOrders().createOrders(engines, settings.signal, sampler))
  if (settings.memory.sampling) startSamplingAtOnce(sampler)
  const packages = usedPackages(engines, leakReadings)
  const leakPassedOver = leakReadings?.passedOver ?? []
  const watch = startWatchAnywhere({
    settings: watchSettings,
    isThreadWanted: settings.watchdog,
    orders,
    report: voice,
    onBeat: () => (board.isWanted = voice.wantsReadings()),
    onStarted(at) {
      place = at
      const also = { signal: settings.signal, packages, leakPassedOver, atHeapLimit: heapLimit?.inWords }
      voice.info(startLine({ ...watchSettings, ...at, ...also }))
    },
  })
  started.add(() => watch.stop())
  started.add(watchWorkerBirths((birth) => watch.noteWorker(birth)))
  started.add(startRuleFunctions(settings.rules, watch, voice))

  let isStopping = false
  const dumpByHand: Monitoring['dumpByHand'] = async (kind, details, durationMs) => {
    if (!isStopping) return watch.request({ kind, rule: 'manual', details, durationMs })
    // The watch still takes requests until its loops have ended, on a thread that starts even later.
    voice.skip({ kind, rule: 'manual', reason: 'stopped', numbers: {} })
    return { skipped: 'stopped' }
  }
  signal.serve(() => dumpByHand('memory', { askedBy: settings.signal }))
  const stopLeaks = leakReadings ? startLeaks(settings, leakReadings, orders, watch, voice) : () => undefined
  started.add(stopLeaks)

  for (const line of startWarnings(watchSettings, limits)) voice.notice(line)
  const unlikely = heapLimitFirst(watchSettings, limits)
  if (unlikely !== undefined) voice.notice(unlikely)
  return {
    dumpByHand,
    stats: () => ({
      ...(place && {
        thread: place.thread,
        ways: { cpu: [...place.ways.cpu.available], memory: [...place.ways.memory.available] },
      }),
      rules: Object.fromEntries([
        ...kinds.map(
          (kind) => [kind, ruleStats(numbersOf(inForce, limits)[kind].rule, board.read(kind))] as const,
        ),
        ...settings.rules.map((rule) => [rule.name, ruleStats(rule, board.read(rule.name))] as const),
      ]),
    }),
    update(update) {
      inForce = resolveUpdate(update, inForce)
      if (isStopping) return
      const numbers = numbersOf(inForce, limits)
      const changed = kinds.filter((kind) => update[kind] !== undefined)
      watch.update(Object.fromEntries(changed.map((kind) => [kind, numbers[kind]])))
      const words = changed.flatMap((kind) =>
        numbers[kind].rule ? ruleInWords(kind, numbers[kind].rule) : [],
      )
      voice.info(`updated: ${words.join('; ') || 'nothing'}`)
      for (const line of startWarnings(numbers, limits)) voice.notice(line)
    },
    stop() {
      isStopping = true
      signal.ignore()
      return started.stop()
    },
    abandon() {
      isStopping = true
      stopLeaks()
      signal.stop()
      heapLimit?.disarm()
      // Before the other monitor starts its own, of which V8 has one for all.
      sampler.stop()
      unclaim()
      void started.stop()
    },
  }
}

function heapLimitParts({ logger, memory, signal, watchdog }: Settings, sampler: HeapSampler) {
  const ofSampling = memory.sampling ? sampler : undefined
  return { writesLine: logger !== false, sampler: ofSampling, signal, isThreadWanted: watchdog }
}

/** The warning for a memory threshold that V8's heap limit makes unlikely to be passed. */
function heapLimitFirst({ memory, heapLimit }: WatchSettings, limits: Limits): string | undefined {
  const threshold = memory.rule?.threshold
  if (threshold === undefined || !heapLimit) return undefined
  // Above what the process may use: startWarnings reports that.
  if (threshold >= (limits.memoryLimitBytes ?? limits.totalMemoryBytes)) return undefined
  return thresholdAboveHeapLimit('the memory threshold', threshold, heapLimit.limitBytes, heapLimit.baseBytes)
}

function kindsWatched(settings: Settings): DumpKind[] {
  return (['cpu', 'memory'] as const).filter((kind) => settings[kind].rule)
}

/** A memwatch package that did not load is not used. Whether the others load is not known before a dump. */
function usedPackages({ cpu, memory, leak }: Engines, leakReadings?: ChosenReadings): ResolvedPackage[] {
  const isLeakUsed = leakReadings?.readings.source === leak.package?.name
  const all = [cpu.package, memory.package, isLeakUsed ? leak.package : undefined]
  return all.filter((each) => each !== undefined)
}

/** @returns Stops the count of the time that garbage collections take. */
function startGcTime(): () => void {
  const loaded = loadForkHelper()
  if (!('helper' in loaded) || loaded.helper.watchGc?.() !== true) return () => undefined
  return () => loaded.helper.unwatchGc?.()
}

/** Numbers of threads, as far as they can be told from the order in which Node has started them. */
function threadsNow(): WatchSettings['threads'] {
  const main = mainThreadId()
  const v8PoolSize = v8PoolSizeOf([...process.execArgv, ...(process.env['NODE_OPTIONS'] ?? '').split(/\s+/)])
  const known =
    main === undefined ? { v8: [], pool: [] } : threadsAtStart(listThreads(), main, v8PoolSize, poolSize())
  return { known }
}

function watchSettingsOf(
  settings: Settings,
  engines: Engines,
  limits: Limits,
  heapLimit: ArmedHeapLimit | undefined,
): Omit<WatchSettings, 'board'> {
  const { keep, rules, fleet } = settings
  return {
    ...numbersOf(settings, limits),
    // A function cannot travel to another thread.
    rules: rules.map((rule) => ({ ...rule, read: undefined })),
    threads: threadsNow(),
    heapLimit: heapLimit?.toWatch,
    fleet: fleet && { ...fleet },
    engines,
    keep,
    where: {
      node: process.version,
      v8: process.versions.v8,
      pid: process.pid,
      host: hostname(),
      limits: { ...limits },
    },
  }
}

/** The kinds with thresholds as numbers. */
function numbersOf({ cpu, memory }: Pick<Settings, DumpKind>, limits: Limits): Pick<WatchSettings, DumpKind> {
  return {
    cpu: { ...cpu, rule: withNumber(cpu.rule, limits.cpus * 100) },
    memory: { ...memory, rule: withNumber(memory.rule, limits.memoryLimitBytes ?? limits.totalMemoryBytes) },
  }
}

function ruleStats(rule: RuleSettings | undefined, row: BoardRow): RuleStats | undefined {
  if (!rule) return undefined
  const { left, ...read } = row
  const budget = { ...rule.budget, left: row.readings > 0 ? left : rule.budget.tokensPerInterval }
  return { threshold: rule.threshold, counter: rule.counter, ...read, budget }
}

/** @param whole - All that the process may use. */
function withNumber(rule: RuleSettings<Threshold> | undefined, whole: number): RuleSettings | undefined {
  return rule && { ...rule, threshold: absoluteThreshold(rule.threshold, whole) }
}

/**
 * Starts the sampling heap profiler within the call, so that it covers what the application allocates while it boots. The
 * watch, which restarts it when it was stopped, begins later. If it cannot be started, the watch reports that.
 */
function startSamplingAtOnce(sampler: HeapSampler): void {
  try {
    sampler.start(SAMPLING_INTERVAL_BYTES)
  } catch {
    return
  }
}

function loadOrders(): typeof carryOut {
  return require('../capture/main-thread/carry-out') as typeof carryOut
}

/** In a turn of the event loop: a leak takes minutes to show, and the application's start does not wait for the code. */
function startLeaks(...parts: Parameters<typeof startLeaksNow>): () => void {
  let stop = (): void => undefined
  const timer = setTimeout(() => {
    try {
      stop = startLeaksNow(...parts)
    } catch (error) {
      leakFailure(parts[4])(error)
    }
  }, 0).unref()
  return () => {
    clearTimeout(timer)
    stop()
  }
}

function startLeaksNow(
  { memory: { sampling }, leakPair, keep }: Settings,
  { readings }: ChosenReadings,
  orders: () => carryOut.OrderTable,
  watch: Watch,
  voice: Voice,
): () => void {
  const { startLeakWatch } = require('../leak/watch') as typeof leakWatch
  const { LEAK_RULE, LEAK_RULE_ALONE } = require('../leak/trend') as typeof leakTrend
  const gate = new Gate(processRegistry().gate)
  return startLeakWatch({
    source: readings,
    rule: sampling && whyNoInspector() === undefined ? LEAK_RULE : LEAK_RULE_ALONE,
    now: systemClock.monotonicMs,
    wallClock: systemClock.epochMs,
    readHoldings() {
      // The collection that it forces must not pass for a blocked event loop.
      const { holdings } = gate.duringOrder(() => orders().allocationSites({}))
      return holdings && new Map(holdings.map((holding) => [holding.path, holding]))
    },
    onLeak: (leak) => voice.leak(leak),
    async dump(evidence) {
      const result = await watch.request({ kind: 'memory', rule: 'leak', ...evidence })
      return 'file' in result ? result.file : undefined
    },
    // The second snapshot would take the place of the first one.
    isPairWanted: leakPair && (keep === false || keep >= 2),
    onFailure: leakFailure(voice),
  })
}

function leakFailure(voice: Voice): (error: unknown) => void {
  return (error) => voice.failure({ stage: 'leak', message: messageOf(error), error })
}

function catchSignal({ signal }: Settings, voice: Voice): SignalWatch {
  if (signal === undefined) return NO_WATCH
  return watchSignal({ signal, notice: (line) => voice.notice(line) })
}
