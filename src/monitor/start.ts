import { hostname } from 'node:os'
import { systemClock } from '../base/clock'
import { messageOf } from '../base/error-text'
import { createStopList } from '../base/stop-list'
import { resolveEngines, type Engines, type ResolvedPackage } from '../capture/engines'
import { SAMPLING_INTERVAL_BYTES } from '../capture/heap/sampling'
import { createOrders, type OrderTable } from '../capture/main-thread/carry-out'
import type { DumpKind, DumpResult } from '../dispatch/events'
import { Gate } from '../dispatch/gate'
import { claim, processRegistry } from '../dispatch/process-registry'
import { thresholdAboveHeapLimit } from '../capture/heap/limit/allowance'
import { createHeapSampler, type HeapSampler } from '../capture/heap/sampler'
import { openLocalSession, whyNoInspector } from '../capture/main-thread/local-session'
import { armHeapLimit, type ArmedHeapLimit } from '../dispatch/arm-heap-limit'
import { LEAK_RULE, LEAK_RULE_ALONE } from '../leak/trend'
import { chooseReadings, type ChosenReadings } from '../leak/choose-readings'
import { startLeakWatch } from '../leak/watch'
import { readLimits, type Limits } from '../system/limits'
import { startWatchAnywhere } from '../thread/movable-watch'
import type { RuleSettings, Watch, WatchSettings } from '../watch/watch'
import { absoluteThreshold, type Settings, type Threshold } from './options'
import { NO_WATCH, watchSignal, type SignalWatch } from './signal'
import { startLine, startWarnings } from './start-line'
import type { Voice } from './voice'

/** What runs behind a `Monitor`. */
export interface Monitoring {
  /** Never rejects. */
  dumpByHand(
    kind: DumpKind,
    details: Readonly<Record<string, unknown>>,
    durationMs?: number,
  ): Promise<DumpResult>
  /** Stops everything. Idempotent, never rejects. */
  stop(): Promise<void>
}

/**
 * The composition root: starts the parts from Settings, and stops them in reverse order.
 *
 * @throws Error when `cpu` or `memory` is watched in this process already, or when `engine: 'packages'` misses one. Nothing
 * has been started then.
 */
export function startMonitoring(settings: Settings, voice: Voice): Monitoring {
  const kinds = kindsWatched(settings)
  const engines = resolveEngines(settings.engine, kinds.includes('memory') ? [...kinds, 'leak'] : kinds)
  const started = createStopList((error) =>
    voice.failure({ stage: 'stop', message: messageOf(error), error }),
  )
  started.add(claim(kinds))
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
  const watchSettings = watchSettingsOf(settings, engines, limits, heapLimit)
  const orders = createOrders(engines, settings.signal, sampler)
  if (settings.memory.sampling) startSamplingAtOnce(orders)
  const packages = usedPackages(engines, leakReadings)
  const leakPassedOver = leakReadings?.passedOver ?? []
  const watch = startWatchAnywhere({
    settings: watchSettings,
    isThreadWanted: settings.watchdog,
    orders,
    report: voice,
    onStarted(at) {
      const also = { signal: settings.signal, packages, leakPassedOver, atHeapLimit: heapLimit?.inWords }
      voice.info(startLine({ ...watchSettings, ...at, ...also }))
    },
  })
  started.add(() => watch.stop())

  let isStopping = false
  const dumpByHand: Monitoring['dumpByHand'] = async (kind, details, durationMs) => {
    if (!isStopping) return watch.request({ kind, rule: 'manual', details, durationMs })
    // The watch still takes requests until its loops have ended, on a thread that starts even later.
    voice.skip({ kind, rule: 'manual', reason: 'stopped', numbers: {} })
    return { skipped: 'stopped' }
  }
  signal.serve(() => dumpByHand('memory', { askedBy: settings.signal }))
  if (leakReadings) started.add(startLeaks(settings, leakReadings, orders, watch, voice))

  for (const line of startWarnings(watchSettings, limits)) voice.notice(line)
  const unlikely = heapLimitFirst(watchSettings, limits)
  if (unlikely !== undefined) voice.notice(unlikely)
  return {
    dumpByHand,
    stop() {
      isStopping = true
      signal.ignore()
      return started.stop()
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

function watchSettingsOf(
  settings: Settings,
  engines: Engines,
  limits: Limits,
  heapLimit: ArmedHeapLimit | undefined,
): WatchSettings {
  const { cpu, memory, keep } = settings
  return {
    cpu: { ...cpu, rule: withNumber(cpu.rule, limits.cpus * 100) },
    memory: { ...memory, rule: withNumber(memory.rule, limits.memoryLimitBytes ?? limits.totalMemoryBytes) },
    heapLimit: heapLimit?.toWatch,
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

/** @param whole - All that the process may use. */
function withNumber(rule: RuleSettings<Threshold> | undefined, whole: number): RuleSettings | undefined {
  return rule && { ...rule, threshold: absoluteThreshold(rule.threshold, whole) }
}

/**
 * Starts the sampling heap profiler within the call, so that it covers what the application allocates while it boots. The
 * watch, which restarts it when it was stopped, begins later. If it cannot be started, the watch reports that.
 */
function startSamplingAtOnce(orders: OrderTable): void {
  try {
    orders.startSampling({ intervalBytes: SAMPLING_INTERVAL_BYTES })
  } catch {
    return
  }
}

function startLeaks(
  { memory: { sampling }, leakPair, keep }: Settings,
  { readings }: ChosenReadings,
  orders: OrderTable,
  watch: Watch,
  voice: Voice,
): () => void {
  const gate = new Gate(processRegistry().gate)
  return startLeakWatch({
    source: readings,
    rule: sampling && whyNoInspector() === undefined ? LEAK_RULE : LEAK_RULE_ALONE,
    now: systemClock.monotonicMs,
    wallClock: systemClock.epochMs,
    readHoldings() {
      // The collection that it forces must not pass for a blocked event loop.
      const { holdings } = gate.duringOrder(() => orders.allocationSites({}))
      return holdings && new Map(holdings.map((holding) => [holding.path, holding]))
    },
    onLeak: (leak) => voice.leak(leak),
    async dump(evidence) {
      const result = await watch.request({ kind: 'memory', rule: 'leak', ...evidence })
      return 'file' in result ? result.file : undefined
    },
    // The second snapshot would take the place of the first one.
    isPairWanted: leakPair && (keep === false || keep >= 2),
    onFailure: (error) => voice.failure({ stage: 'leak', message: messageOf(error), error }),
  })
}

function catchSignal({ signal }: Settings, voice: Voice): SignalWatch {
  if (signal === undefined) return NO_WATCH
  return watchSignal({ signal, notice: (line) => voice.notice(line) })
}
