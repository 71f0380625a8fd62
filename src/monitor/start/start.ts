import { messageOf, Promise } from '../../base/globals'
import { loadLate } from '../../base/late'
import { createStopList } from '../../base/stop-list'
import { AFTER_START_MS, clearTimeout, setTimeout, systemClock } from '../../base/time'
import {
  type Engines,
  isHeapdumpListening,
  type ResolvedPackage,
  resolveEngines,
} from '../../capture/engines'
import { loadForkHelper } from '../../capture/heap/fork/helper'
import { thresholdAboveHeapLimit } from '../../capture/heap/limit/allowance'
import { SAMPLING_INTERVAL_BYTES, STARTED_AGAIN } from '../../capture/heap/sampler'
import type * as carryOut from '../../capture/main-thread/carry-out'
import { whyNoInspector } from '../../capture/main-thread/local-session'
import type { ArmedHeapLimit, AtHeapLimit, HeapLimitJob } from '../../dispatch/arm-heap-limit'
import type { DumpKind, DumpResult } from '../../dispatch/events'
import { Gate, processRegistry } from '../../dispatch/gate'
import { chooseReadings, type ChosenReadings } from '../../leak/choose-readings'
import type * as leakTrend from '../../leak/trend'
import type * as leakWatch from '../../leak/watch'
import type { KnownThreads } from '../../makeup/roster'
import { BEGIN, DESTINATION } from '../../report/on-dump'
import { type Limits, readLimits } from '../../system/limits'
import { startWatchAnywhere } from '../../thread/watchdog'
import { Board, type BoardRow, boardRules } from '../../watch/board'
import type { NamedRule, RuleSettings, Watch, WatchSettings, Ways } from '../../watch/watch'
import { absoluteThreshold, type Settings, type Threshold } from '../options'
import { startRuleFunctions } from '../rule-functions'
import type { RuleToRead } from '../rules'
import { resolveUpdate, type Update } from '../update'
import type { Voice } from '../voice'
import { type AtOnce, kindsWatched, startAtOnce, whereOf } from './at-once'
import { namedRuleInWords, ruleInWords, startLine, startWarnings } from './start-line'

/** Functions that control the running parts of a monitor. The methods of `Monitor` and the doctor call them. */
export interface Monitoring {
  /** Takes a dump that the user requested. Never rejects. */
  dumpByHand(
    kind: DumpKind,
    details: Readonly<Record<string, unknown>>,
    durationMs?: number,
  ): Promise<DumpResult>
  /** Returns settings, latest reading, counts and budget of each rule, and the methods by which dumps can be made. */
  stats(): WatchStats
  /**
   * Changes settings of the running monitor.
   *
   * @throws For a wrong update. Then nothing has changed.
   */
  update(update: Update): void
  /** Stops all parts of the monitor. Idempotent, never rejects. */
  stop(): Promise<void>
  /** Resolves, once readings are taken, to the data that the doctor examines. Never settles if the monitor stops before that. */
  facts(): Promise<StartFacts>
  /** Stops, before it returns, all parts that would disturb another monitor of this process. The others stop soon after. */
  abandon(): void
}

/** Settings and methods of a started monitor, and limits of its process, for the doctor (self-check, `CMM_DOCTOR=1`). */
export interface StartFacts {
  readonly settings: WatchSettings
  readonly limits: Limits
  /** The thread that takes the readings and decides about dumps, as a phrase for a log line. */
  readonly thread: string
  readonly isOnOwnThread: boolean
  readonly ways: Ways
  /** A warning, if V8's heap limit will probably end the process before the memory threshold is exceeded. */
  readonly unlikely: string | undefined
  readonly signal: NodeJS.Signals | undefined
  /** What is dumped at V8's heap limit. Absent when the option `heapLimit` is off. */
  readonly atHeapLimit: AtHeapLimit | undefined
  /** Where dumps are uploaded to, as a phrase. Absent without an upload. */
  readonly sentTo: string | undefined
}

type Placed = Pick<StartFacts, 'thread' | 'isOnOwnThread' | 'ways'>

/** Settings, latest reading, counts and budget of one rule. */
export interface RuleStats {
  /** Percent of one core for `cpu`, bytes for `memory`; for a rule of the option `rules`, in the unit of its metric. */
  readonly threshold: number
  /** Number of readings above the threshold in a row that trigger a dump. */
  readonly counter: number
  /** Number of readings since the start. */
  readonly readings: number
  /** The latest reading, in the unit of the threshold. Absent before the first. */
  readonly latest?: { readonly value: number; readonly atEpochMs: number }
  /** Number of the latest readings in a row that were above the threshold; 0 again when they have triggered a dump. */
  readonly breaches: number
  /** At most `tokensPerInterval` dumps in `intervalMs`. `left`: number of dumps that were still allowed at the latest reading. */
  readonly budget: { readonly tokensPerInterval: number; readonly intervalMs: number; readonly left: number }
}

export interface WatchStats {
  /** The thread that takes the readings and decides about dumps, as a phrase. Absent while the monitor is starting. */
  readonly thread?: string
  /** For each kind of dump, the methods that can be used, best first. Absent while the monitor is starting. */
  readonly ways?: Readonly<Record<DumpKind, readonly string[]>>
  /** Settings and readings by name of the rule: `cpu` and `memory` if they are watched, and those of the option `rules`. */
  readonly rules: Readonly<Record<string, RuleStats | undefined>>
}

/**
 * Starts all parts of a monitor from its settings. The `stop()` of the result stops them in reverse order.
 *
 * @param isPreloaded - Whether the monitor was started by preload (`--require`), perhaps in a process that the user did not
 * want to watch: then no dump directory is created or tested at start.
 * @param atOnce - The parts that already run, from `startAtOnce`. @default this call starts them
 * @throws Error when this process already watches `cpu` or `memory`, or when `engine: 'packages'` needs a package that is
 * missing. Then nothing has been started.
 */
export function startMonitoring(
  settings: Settings,
  voice: Voice,
  isPreloaded = false,
  atOnce?: AtOnce,
): Monitoring {
  const kinds = kindsWatched(settings)
  const engines = resolveEngines(settings.engine, kinds.includes('memory') ? [...kinds, 'leak'] : kinds)
  const started = createStopList((error) =>
    voice.failure({ stage: 'stop', message: messageOf(error), error }),
  )
  const { unclaim, signal, sampler, heapLimit, known, births } = atOnce ?? startAtOnce(settings, voice)
  started.add(unclaim)
  const limits = readLimits()
  const leakReadings = settings.memory.rule && chooseReadings(engines.leak, systemClock.monotonicMs)

  // Stop functions run in reverse order, so the signal's listener is removed after all parts below have stopped: without it, the
  // signal ends the process, and an operator may send the signal while `stop()` waits minutes for a dump.
  started.add(() => signal.stop())
  if (heapLimit) {
    started.add(() => heapLimit.disarm())
    heapLimit.loadJobLater(loadHeapLimitJob)
  }
  started.add(startGcTime())
  const names = boardRules(settings.rules)
  const boardMemory = Board.create(names)
  const board = new Board(boardMemory, names)
  const watchSettings: WatchSettings = {
    ...watchSettingsOf(settings, engines, limits, heapLimit, known),
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
  const packages = usedPackages(engines, leakReadings)
  const leakPassedOver = leakReadings?.passedOver ?? []
  const watch = startWatchAnywhere({
    settings: watchSettings,
    isThreadWanted: settings.watchdog,
    orders,
    report: voice,
    onBeat: () => (board.isWanted = voice.wantsReadings()),
    onStarted(at) {
      // A second call means that the watchdog thread has died and the main thread takes over. The start line then does not name
      // the shared budget, because its server is no longer asked.
      const fleet = place ? undefined : watchSettings.fleet
      place = at
      setPlaced(at)
      const also = {
        fleet,
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
  births.passTo((birth) => watch.noteWorker(birth))
  started.add(() => births.stop())
  started.add(startRuleFunctions(settings.rules, watch, voice))

  let isStopping = false
  const dumpByHand: Monitoring['dumpByHand'] = async (kind, details, durationMs) => {
    if (!isStopping) return watch.request({ kind, rule: 'manual', details, durationMs })
    // The monitor is stopping: the request is refused here, because the watch accepts requests until it has stopped.
    voice.skip({ kind, rule: 'manual', reason: 'stopped', numbers: {} })
    return { skipped: 'stopped' }
  }
  signal.serve(() => dumpByHand('memory', { askedBy: settings.signal }), isHeapdumpListening)
  const stopLeaks = leakReadings ? startLeaks(settings, leakReadings, orders, watch, voice) : () => undefined
  started.add(stopLeaks)

  const unlikely = heapLimitFirst(settings, watchSettings, limits, heapLimit)
  let warnings: readonly string[] = []
  /** Logs the warnings about thresholds. Warnings that have not changed since the last call are not repeated. */
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
      // The sampler must stop before another monitor starts one: V8 has only one sampling heap profiler per thread.
      sampler.stop()
      unclaim()
      void started.stop()
    },
  }
}

/** Returns a warning if V8's heap limit will probably end the process before the memory threshold is exceeded. */
function heapLimitFirst(
  settings: Settings,
  { memory }: Pick<WatchSettings, 'memory'>,
  limits: Limits,
  heapLimit: ArmedHeapLimit | undefined,
): string | undefined {
  const threshold = memory.rule?.threshold
  if (threshold === undefined || !heapLimit) return undefined
  // No warning for a percentage such as '85%' if the heap limit has its own dump: a percentage is chosen with a view to all
  // memory of the process, not to its heap.
  if (settings.memory.rule?.threshold.unit === 'share' && heapLimit.atLimit.hasDump) return undefined
  // `startWarnings` already warns of a threshold above the memory that the process may use.
  if (threshold >= (limits.memoryLimitBytes ?? limits.totalMemoryBytes)) return undefined
  const { limitBytes, baseBytes } = heapLimit.toWatch
  return thresholdAboveHeapLimit('the memory threshold', threshold, limitBytes, baseBytes)
}

/**
 * Returns the optional packages that the start line names. memwatch is named only if it could be loaded. The other packages are
 * named without that check, because usually only the first dump loads them.
 */
function usedPackages({ cpu, memory, leak }: Engines, leakReadings?: ChosenReadings): ResolvedPackage[] {
  const isLeakUsed = leakReadings?.readings.source === leak.package?.name
  const all = [cpu.package, memory.package, isLeakUsed ? leak.package : undefined]
  return all.filter((each) => each !== undefined)
}

/** Starts to count the main thread's CPU time in garbage collections (native helper). @returns A function that ends the count. */
function startGcTime(): () => void {
  const loaded = loadForkHelper()
  if (!('helper' in loaded) || loaded.helper.watchGc?.() !== true) return () => undefined
  return () => loaded.helper.unwatchGc?.()
}

/** Returns a rule without its function, because a function cannot be sent to the watchdog thread. */
function withoutFunction(rule: RuleToRead): NamedRule {
  return { ...rule, read: undefined } as NamedRule
}

function watchSettingsOf(
  settings: Settings,
  engines: Engines,
  limits: Limits,
  heapLimit: ArmedHeapLimit | undefined,
  known: KnownThreads,
): Omit<WatchSettings, 'board'> {
  const { keep, rules, fleet, onDump } = settings
  return {
    ...numbersOf(settings, limits),
    rules: rules.map(withoutFunction),
    threads: { known },
    heapLimit: heapLimit?.toWatch,
    fleet: fleet && { ...fleet },
    engines,
    keep,
    isSent: onDump?.[BEGIN] !== undefined,
    where: whereOf(limits),
  }
}

/** Returns the settings of CPU and memory. Thresholds such as '80%' become percent of one core (CPU) or bytes (memory). */
function numbersOf({ cpu, memory }: Pick<Settings, DumpKind>, limits: Limits): Pick<WatchSettings, DumpKind> {
  const memoryRule = withNumber(memory.rule, limits.memoryLimitBytes ?? limits.totalMemoryBytes)
  return {
    cpu: { ...cpu, rule: withNumber(cpu.rule, limits.cpus * 100) },
    // Rounded, because a percentage of the memory is rarely a whole number of bytes, and decimals would show in events and files.
    memory: { ...memory, rule: memoryRule && { ...memoryRule, threshold: Math.round(memoryRule.threshold) } },
  }
}

function ruleStats(rule: RuleSettings | undefined, row: BoardRow): RuleStats | undefined {
  if (!rule) return undefined
  const { left, ...read } = row
  const budget = { ...rule.budget, left: row.readings > 0 ? left : rule.budget.tokensPerInterval }
  return { threshold: rule.threshold, counter: rule.counter, ...read, budget }
}

/**
 * Returns a rule with its threshold as a number.
 *
 * @param whole - All CPU, in percent of one core, or all memory, in bytes, that the process may use.
 */
function withNumber(rule: RuleSettings<Threshold> | undefined, whole: number): RuleSettings | undefined {
  return rule && { ...rule, threshold: absoluteThreshold(rule.threshold, whole) }
}

function loadHeapLimitJob(): HeapLimitJob {
  return loadLate(() => require('../../capture/heap/limit/job') as HeapLimitJob)
}

function loadOrders(): typeof carryOut {
  return loadLate(() => require('../../capture/main-thread/carry-out') as typeof carryOut)
}

/** Starts the leak watch a while after the application's start, because loading the code of the watch would delay that start. */
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
  const { startLeakWatch } = loadLate(() => require('../../leak/watch') as typeof leakWatch)
  const { LEAK_RULE, LEAK_RULE_ALONE } = loadLate(() => require('../../leak/trend') as typeof leakTrend)
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
      // Reading the sampler forces a garbage collection, which must not be mistaken for a blocked event loop.
      const { sampled } = gate.duringOrder(() => readSites({}))
      return (
        sampled && { run: sampled.run, byPath: new Map(sampled.holdings.map((each) => [each.path, each])) }
      )
    },
    onLeak: (leak) => voice.leak(leak),
    dump: (evidence) => watch.request({ kind: 'memory', rule: 'leak', ...evidence }),
    // With `keep: 1` the second snapshot of a leak would replace the first.
    isPairWanted: leakPair && (keep === false || keep >= 2),
    onFailure: leakFailure(voice),
  })
}

/**
 * Creates the function with which the leak watch reads the sampling heap profiler. If other code has stopped the profiler,
 * it is started again, and a leak can be confirmed only when there are new samples to compare.
 */
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
