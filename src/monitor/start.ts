import { hostname } from 'node:os'
import { messageOf, Promise } from '../base/globals'
import { createStopList } from '../base/stop-list'
import { AFTER_START_MS, clearTimeout, setTimeout, systemClock } from '../base/time'
import { type Engines, type ResolvedPackage, resolveEngines } from '../capture/engines'
import { loadForkHelper } from '../capture/heap/fork/helper'
import { thresholdAboveHeapLimit } from '../capture/heap/limit/allowance'
import {
  createHeapSampler,
  type HeapSampler,
  SAMPLING_INTERVAL_BYTES,
  STARTED_AGAIN,
} from '../capture/heap/sampler'
import type * as carryOut from '../capture/main-thread/carry-out'
import { openLocalSession, whyNoInspector } from '../capture/main-thread/local-session'
import { poolSize } from '../capture/thread-limit'
import { type ArmedHeapLimit, armHeapLimit, type AtHeapLimit } from '../dispatch/arm-heap-limit'
import type { DumpKind, DumpResult } from '../dispatch/events'
import { claim, Gate, processRegistry } from '../dispatch/gate'
import { chooseReadings, type ChosenReadings } from '../leak/choose-readings'
import type * as leakTrend from '../leak/trend'
import type * as leakWatch from '../leak/watch'
import { threadsAtStart, v8PoolSizeOf } from '../makeup/roster'
import { BEGIN, DESTINATION } from '../report/on-dump'
import { type Limits, readLimits } from '../system/limits'
import { listThreads, mainThreadId } from '../system/threads'
import { watchWorkerBirths } from '../system/worker-births'
import { startWatchAnywhere } from '../thread/watchdog'
import { Board, type BoardRow, boardRules } from '../watch/board'
import type { NamedRule, RuleSettings, Watch, WatchSettings, Ways } from '../watch/watch'
import { absoluteThreshold, type Settings, type Threshold } from './options'
import { startRuleFunctions } from './rule-functions'
import type { RuleToRead } from './rules'
import { NO_WATCH, type SignalWatch, watchSignal } from './signal'
import { namedRuleInWords, ruleInWords, startLine, startWarnings } from './start-line'
import { resolveUpdate, type Update } from './update'
import type { Voice } from './voice'

/** The implementation behind a `Monitor`. */
export interface Monitoring {
  /** Takes a dump that the user requested. Never rejects. */
  dumpByHand(
    kind: DumpKind,
    details: Readonly<Record<string, unknown>>,
    durationMs?: number,
  ): Promise<DumpResult>
  /** Returns the readings so far, and the settings in force. */
  stats(): WatchStats
  /**
   * Changes the settings in force.
   *
   * @throws For a wrong update, before anything has been changed.
   */
  update(update: Update): void
  /** Stops everything. Idempotent, never rejects. */
  stop(): Promise<void>
  /** What the start has found, once the watch has started. Pending for ever when it is stopped before. */
  facts(): Promise<StartFacts>
  /** Stops, within the call, all that would disturb another monitor of this process, and the rest soon after. */
  abandon(): void
}

/** What a start has found here, for `doctor`. */
export interface StartFacts {
  readonly settings: WatchSettings
  readonly limits: Limits
  /** The thread on which the watch runs, in words. */
  readonly thread: string
  readonly isOnOwnThread: boolean
  readonly ways: Ways
  /** The warning for a memory threshold that V8's heap limit makes unlikely to be exceeded. */
  readonly unlikely: string | undefined
  readonly signal: NodeJS.Signals | undefined
  /** Absent when the option `heapLimit` is off. */
  readonly atHeapLimit: AtHeapLimit | undefined
  /** Where dumps are sent, in words. */
  readonly sentTo: string | undefined
}

type Placed = Pick<StartFacts, 'thread' | 'isOnOwnThread' | 'ways'>

/** Settings and readings of one rule. */
export interface RuleStats {
  /** Percent of one core for `cpu`, bytes for `memory`; of a named rule in the unit of its metric. */
  readonly threshold: number
  readonly counter: number
  /** Number of readings since the start. */
  readonly readings: number
  /** The latest reading, in the unit of the threshold. Absent before the first. */
  readonly latest?: { readonly value: number; readonly atEpochMs: number }
  /** Readings above the threshold in a row. */
  readonly breaches: number
  /** `left`: number of dumps that the budget still allowed at the latest reading. */
  readonly budget: { readonly tokensPerInterval: number; readonly intervalMs: number; readonly left: number }
}

export interface WatchStats {
  /** Thread on which readings and decisions are made, in words. Absent until the watch has started. */
  readonly thread?: string
  /** Methods by which each kind can be dumped here, best first. Absent until the watch has started. */
  readonly ways?: Readonly<Record<DumpKind, readonly string[]>>
  /** Settings and readings by rule: `cpu` and `memory`, as far as they are watched, and the named rules. */
  readonly rules: Readonly<Record<string, RuleStats | undefined>>
}

/**
 * Starts all parts of a monitor from its settings, and stops them in reverse order.
 *
 * @param isPreloaded - Started by preload, perhaps in a process that it is not meant for: no directory is tested.
 * @throws Error when this process already watches `cpu` or `memory`, or when `engine: 'packages'` misses a package.
 * Then nothing has been started.
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

  // Caught before the start line is logged: an operator may send the signal right away, and uncaught it ends the
  // process. Stopped late, for the same reason: a dump for which `stop()` waits can take minutes.
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
  const sentTo = settings.onDump?.[DESTINATION]
  let inForce = settings
  let place: Placed | undefined
  let setPlaced!: (place: Placed) => void
  const placed = new Promise<Parameters<typeof setPlaced>[0]>((resolve) => (setPlaced = resolve))
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
      setPlaced(at)
      const also = {
        signal: settings.signal,
        packages,
        leakPassedOver,
        sentTo,
        atHeapLimit: heapLimit?.atLimit.inWords,
      }
      voice.info(startLine({ ...watchSettings, ...at, ...also }))
    },
  })
  started.add(() => watch.stop())
  started.add(watchWorkerBirths((birth) => watch.noteWorker(birth)))
  started.add(startRuleFunctions(settings.rules, watch, voice))

  let isStopping = false
  const dumpByHand: Monitoring['dumpByHand'] = async (kind, details, durationMs) => {
    if (!isStopping) return watch.request({ kind, rule: 'manual', details, durationMs })
    // The watch itself accepts requests until its loops have ended, or, on a thread that starts late, even longer.
    voice.skip({ kind, rule: 'manual', reason: 'stopped', numbers: {} })
    return { skipped: 'stopped' }
  }
  signal.serve(() => dumpByHand('memory', { askedBy: settings.signal }))
  const stopLeaks = leakReadings ? startLeaks(settings, leakReadings, orders, watch, voice) : () => undefined
  started.add(stopLeaks)

  const unlikely = heapLimitFirst(settings, watchSettings, limits, heapLimit)
  let warnings: readonly string[] = []
  /** Logs the warnings for these thresholds that were not true of the thresholds before. */
  const warn = (watched: Parameters<typeof startWarnings>[0], unlikely: string | undefined): void => {
    const before = warnings
    warnings = [...startWarnings(watched, limits), ...(unlikely === undefined ? [] : [unlikely])]
    for (const line of warnings) if (!before.includes(line)) voice.notice(line)
  }
  warn(watchSettings, unlikely)
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
        ...inForce.rules.map((rule) => [rule.name, ruleStats(rule, board.read(rule.name))] as const),
      ]),
    }),
    update(update) {
      inForce = resolveUpdate(update, inForce)
      if (isStopping) return
      const numbers = numbersOf(inForce, limits)
      const changed = kinds.filter((kind) => update[kind] !== undefined)
      const rules = inForce.rules.map(withoutFunction)
      watch.update({ ...Object.fromEntries(changed.map((kind) => [kind, numbers[kind]])), rules })
      const named = new Set(update.rules?.map(({ name }) => name))
      const words = [
        ...changed.flatMap((kind) => (numbers[kind].rule ? ruleInWords(kind, numbers[kind].rule) : [])),
        ...rules.filter(({ name }) => named.has(name)).map(namedRuleInWords),
      ]
      voice.info(`updated: ${words.join('; ') || 'nothing'}`)
      warn({ ...numbers, rules }, heapLimitFirst(inForce, numbers, limits, heapLimit))
    },
    stop() {
      isStopping = true
      signal.ignore()
      return started.stop()
    },
    facts: async () => ({
      settings: watchSettings,
      limits,
      ...(await placed),
      unlikely,
      signal: settings.signal,
      atHeapLimit: heapLimit?.atLimit,
      sentTo,
    }),
    abandon() {
      isStopping = true
      stopLeaks()
      signal.stop()
      heapLimit?.disarm()
      // Stopped before the other monitor starts its sampler: V8 has one profiler for all.
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

/** The warning for a memory threshold that the process will probably not exceed before V8's heap limit ends it. */
function heapLimitFirst(
  settings: Settings,
  { memory }: Pick<WatchSettings, 'memory'>,
  limits: Limits,
  heapLimit: ArmedHeapLimit | undefined,
): string | undefined {
  const threshold = memory.rule?.threshold
  if (threshold === undefined || !heapLimit) return undefined
  // A share, such as the default without code, is meant for memory outside of the heap too; the heap has its own dump.
  if (settings.memory.rule?.threshold.unit === 'share' && heapLimit.atLimit.hasDump) return undefined
  // A threshold above the memory that the process may use is reported by startWarnings.
  if (threshold >= (limits.memoryLimitBytes ?? limits.totalMemoryBytes)) return undefined
  const { limitBytes, baseBytes } = heapLimit.toWatch
  return thresholdAboveHeapLimit('the memory threshold', threshold, limitBytes, baseBytes)
}

function kindsWatched(settings: Settings): DumpKind[] {
  return (['cpu', 'memory'] as const).filter((kind) => settings[kind].rule)
}

/** A memwatch package that did not load is left out. Whether the others load is only known with the first dump. */
function usedPackages({ cpu, memory, leak }: Engines, leakReadings?: ChosenReadings): ResolvedPackage[] {
  const isLeakUsed = leakReadings?.readings.source === leak.package?.name
  const all = [cpu.package, memory.package, isLeakUsed ? leak.package : undefined]
  return all.filter((each) => each !== undefined)
}

/** Counts the time of garbage collections. @returns A function that stops the count. */
function startGcTime(): () => void {
  const loaded = loadForkHelper()
  if (!('helper' in loaded) || loaded.helper.watchGc?.() !== true) return () => undefined
  return () => loaded.helper.unwatchGc?.()
}

/** The kernel's ids of threads, as far as the order in which Node starts threads shows their kinds. */
function threadsNow(): WatchSettings['threads'] {
  const main = mainThreadId()
  const v8PoolSize = v8PoolSizeOf([...process.execArgv, ...(process.env['NODE_OPTIONS'] ?? '').split(/\s+/)])
  const known =
    main === undefined ? { v8: [], pool: [] } : threadsAtStart(listThreads(), main, v8PoolSize, poolSize())
  return { known }
}

/** A function cannot be sent to another thread. */
function withoutFunction(rule: RuleToRead): NamedRule {
  return { ...rule, read: undefined } as NamedRule
}

function watchSettingsOf(
  settings: Settings,
  engines: Engines,
  limits: Limits,
  heapLimit: ArmedHeapLimit | undefined,
): Omit<WatchSettings, 'board'> {
  const { keep, rules, fleet, onDump } = settings
  return {
    ...numbersOf(settings, limits),
    rules: rules.map(withoutFunction),
    threads: threadsNow(),
    heapLimit: heapLimit?.toWatch,
    fleet: fleet && { ...fleet },
    engines,
    keep,
    isSent: onDump?.[BEGIN] !== undefined,
    where: {
      node: process.version,
      v8: process.versions.v8,
      pid: process.pid,
      host: hostname(),
      limits: { ...limits },
    },
  }
}

/** The settings of both kinds with thresholds as numbers. */
function numbersOf({ cpu, memory }: Pick<Settings, DumpKind>, limits: Limits): Pick<WatchSettings, DumpKind> {
  const memoryRule = withNumber(memory.rule, limits.memoryLimitBytes ?? limits.totalMemoryBytes)
  return {
    cpu: { ...cpu, rule: withNumber(cpu.rule, limits.cpus * 100) },
    // A share of bytes has decimals, which would show in events and files.
    memory: { ...memory, rule: memoryRule && { ...memoryRule, threshold: Math.round(memoryRule.threshold) } },
  }
}

function ruleStats(rule: RuleSettings | undefined, row: BoardRow): RuleStats | undefined {
  if (!rule) return undefined
  const { left, ...read } = row
  const budget = { ...rule.budget, left: row.readings > 0 ? left : rule.budget.tokensPerInterval }
  return { threshold: rule.threshold, counter: rule.counter, ...read, budget }
}

/** @param whole - All CPU or memory that the process may use. */
function withNumber(rule: RuleSettings<Threshold> | undefined, whole: number): RuleSettings | undefined {
  return rule && { ...rule, threshold: absoluteThreshold(rule.threshold, whole) }
}

/**
 * Starts the sampling heap profiler within the call, so that it covers the allocations of the application's start. The
 * watch, which restarts it when another user has stopped it, begins later, and reports if it could not be started.
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

/** Starts the leak watch once the application has started, which need not wait for its code to be loaded. */
function startLeaks(...parts: Parameters<typeof startLeaksNow>): () => void {
  let stop = (): void => undefined
  const timer = setTimeout(() => {
    try {
      stop = startLeaksNow(...parts)
    } catch (error) {
      leakFailure(parts[4])(error)
    }
  }, AFTER_START_MS).unref()
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
  const isSampling = sampling && whyNoInspector() === undefined
  const readSites = siteReader(orders, voice)
  return startLeakWatch({
    source: readings,
    rule: isSampling ? LEAK_RULE : LEAK_RULE_ALONE,
    now: systemClock.monotonicMs,
    wallClock: systemClock.epochMs,
    readHoldings() {
      if (!isSampling) return undefined
      // The collection that this forces must not be mistaken for a blocked event loop.
      const { sampled } = gate.duringOrder(() => readSites({}))
      return (
        sampled && { run: sampled.run, byPath: new Map(sampled.holdings.map((each) => [each.path, each])) }
      )
    },
    onLeak: (leak) => voice.leak(leak),
    dump: (evidence) => watch.request({ kind: 'memory', rule: 'leak', ...evidence }),
    // With `keep: 1` the second snapshot would replace the first.
    isPairWanted: leakPair && (keep === false || keep >= 2),
    onFailure: leakFailure(voice),
  })
}

/** A sampler that another user has stopped is started again: until it has samples to compare, a leak waits. */
function siteReader(orders: () => carryOut.OrderTable, voice: Voice): carryOut.OrderTable['allocationSites'] {
  let isStopReported = false
  return () => {
    const read = orders().allocationSites({})
    if (read.sampled) return read
    orders().startSampling({ intervalBytes: SAMPLING_INTERVAL_BYTES })
    if (!isStopReported) voice.notice(STARTED_AGAIN)
    isStopReported = true
    return orders().allocationSites({})
  }
}

function leakFailure(voice: Voice): (error: unknown) => void {
  return (error) => voice.failure({ stage: 'leak', message: messageOf(error), error })
}

function catchSignal({ signal }: Settings, voice: Voice): SignalWatch {
  if (signal === undefined) return NO_WATCH
  return watchSignal({ signal, notice: (line) => voice.notice(line) })
}
