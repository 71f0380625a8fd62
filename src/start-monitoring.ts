import { messageOf } from './core/message-of'
import { hostname } from 'node:os'
import type { Engines } from './capture/engines'
import { resolveEngines } from './capture/engines'
import { SAMPLING_INTERVAL_BYTES } from './capture/heap-sampling'
import { createOrders, type OrderTable } from './capture/orders'
import { whyNoInspector } from './capture/whether-inspector'
import { LEAK_RULE, LEAK_RULE_ALONE } from './core/leak-trend'
import { absoluteThreshold } from './core/threshold'
import type { DumpKind, DumpResult } from './dispatch/events'
import { Gate } from './dispatch/gate'
import { claim, processRegistry } from './dispatch/process-registry'
import { prepareDirectory } from './files/directory'
import { sweepStalePartials } from './files/retention'
import { chooseReadings, type ChosenReadings } from './leak/choose-readings'
import { startLeakWatch } from './leak/leak-watch'
import { MAX_TIMER_MS, type Settings } from './options'
import { startLine, uselessThreshold } from './report/start-line'
import type { Voice } from './report/voice'
import { readLimits, type Limits } from './sample/limits'
import { watchSignal } from './signal'
import { UndoList } from './undo-list'
import { systemClock } from './watch/clock'
import { startWatchAnywhere } from './watch/start-anywhere'
import type { Watch, WatchSettings } from './watch/watch'

/** What runs behind a `Monitor`. */
export interface Monitoring {
  /** Never rejects. */
  dumpByHand(
    kind: DumpKind,
    details: Readonly<Record<string, unknown>>,
    durationMs?: number,
  ): Promise<DumpResult>
  /** Undoes everything. Idempotent, never rejects. */
  stop(): Promise<void>
}

/**
 * The composition root: builds the parts from Settings, and undoes them in reverse.
 *
 * @throws Error when `cpu` or `memory` is watched in this process already, or when `engine: 'packages'` misses one. Nothing
 * is left running then.
 */
export function startMonitoring(settings: Settings, voice: Voice): Monitoring {
  const unclaim = claim(claimsOf(settings))
  let engines: Engines
  let leakReadings: ChosenReadings | undefined
  try {
    engines = resolveEngines(settings.engine, enginesNeeded(settings))
    leakReadings = settings.memory && chooseReadings(engines.leak, systemClock.monotonicMs)
  } catch (error) {
    unclaim()
    throw error
  }

  const undo = new UndoList((error) => voice.failure({ stage: 'stop', message: messageOf(error), error }))
  undo.add(unclaim)
  const limits = readLimits()
  const prepared = prepareDirectories(settings, voice)
  undo.add(() => prepared)
  let isPrepared = false
  void prepared.then(() => (isPrepared = true))
  // A dump by hand may be asked for in the same breath as the start: the directory comes first. Later the request goes out
  // within the call: a caller that blocks the main thread right after it may be the reason for the dump.
  const dumpByHand: Monitoring['dumpByHand'] = (kind, details, durationMs) => {
    const request = () => watch.request({ kind, rule: 'manual', details, durationMs })
    return isPrepared ? request() : prepared.then(request)
  }
  // Before the line that promises it: whoever reads that may send the signal at once, and unheard it ends the process.
  const stopSignal = startSignal(settings, (askedBy) => void dumpByHand('memory', { askedBy }), voice)
  const watchSettings = watchSettingsOf(settings, engines, limits)
  const orders = createOrders(engines)
  if (settings.sampling) startSamplingAtOnce(orders)
  const watch = startWatchAnywhere({
    settings: watchSettings,
    isThreadWanted: settings.watchdog,
    orders,
    report: voice,
    ready: prepared,
    onStarted: ({ thread, ways }) => {
      const leakPassedOver = leakReadings?.passedOver ?? []
      voice.info(startLine({ ...watchSettings, signal: settings.signal, thread, ways, leakPassedOver }))
    },
  })
  undo.add(() => watch.stop())
  if (leakReadings) undo.add(startLeaks(settings, leakReadings, orders, watch, voice))
  undo.add(stopSignal)

  const useless =
    settings.memory && uselessThreshold(watchSettings.rules.memory?.threshold ?? 0, limits.memoryLimitBytes)
  if (useless) voice.notice(useless)
  return { dumpByHand, stop: () => undo.run() }
}

/** What is watched is claimed for the process. */
function claimsOf({ cpu, memory }: Settings): string[] {
  return [...(cpu ? ['cpu'] : []), ...(memory ? ['memory'] : [])]
}

function enginesNeeded({ cpu, memory }: Settings): ('cpu' | 'memory' | 'leak')[] {
  return [...(cpu ? (['cpu'] as const) : []), ...(memory ? (['memory', 'leak'] as const) : [])]
}

function watchSettingsOf(settings: Settings, engines: Engines, limits: Limits): WatchSettings {
  const { cpu, memory, directories, profileDurationMs, sampling, keep } = settings
  const memoryWhole = limits.memoryLimitBytes ?? limits.totalMemoryBytes
  // Without a rule only manual dumps are made, and those are exempt.
  const noBudget = { tokensPerInterval: 0, intervalMs: MAX_TIMER_MS }
  return {
    rules: {
      cpu: cpu && { ...cpu, threshold: absoluteThreshold(cpu.threshold, limits.cpus * 100) },
      memory: memory && { ...memory, threshold: absoluteThreshold(memory.threshold, memoryWhole) },
    },
    budgets: { cpu: cpu?.budget ?? noBudget, memory: memory?.budget ?? noBudget },
    directories,
    profileDurationMs,
    blockedMs: cpu?.blockedMs,
    sampling,
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

/**
 * What the application allocates while it boots is sampled too: the watch, which keeps the sampler from now on, would begin
 * later. If it cannot be started the watch will find the same and say so.
 */
function startSamplingAtOnce(orders: OrderTable): void {
  try {
    orders.startSampling({ intervalBytes: SAMPLING_INTERVAL_BYTES })
  } catch {
    return
  }
}

async function prepareDirectories({ directories }: Settings, voice: Voice): Promise<void> {
  for (const directory of new Set(Object.values(directories))) {
    const verdict = await prepareDirectory(directory)
    if (!verdict.writable) {
      voice.notice(`${directory} cannot be written, dumps to it will fail: ${verdict.reason}`)
      continue
    }
    const { failures } = await sweepStalePartials(directory, hostname(), systemClock.epochMs())
    for (const { file, error } of failures) {
      voice.failure({ stage: 'retention', message: `${file}: ${error.message}`, error })
    }
  }
}

function startLeaks(
  { sampling, leakPair, keep }: Settings,
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

function startSignal({ signal }: Settings, onSignal: (signal: string) => void, voice: Voice): () => void {
  if (signal === undefined) return () => undefined
  return watchSignal({
    signal,
    onSignal: () => onSignal(signal),
    notice: (line) => voice.notice(line),
  })
}
