import { messageOf } from '../base/error-text'
import { hostname } from 'node:os'
import type { Engines } from '../capture/engines'
import { resolveEngines } from '../capture/engines'
import type { ResolvedPackage } from '../capture/optional-package'
import { SAMPLING_INTERVAL_BYTES } from '../capture/heap/sampling'
import { createOrders, type OrderTable } from '../capture/main-thread/carry-out'
import { absoluteThreshold } from './threshold'
import type { DumpKind, DumpResult } from '../dispatch/events'
import { claim } from '../dispatch/process-registry'
import { chooseReadings, type ChosenReadings } from '../leak/choose-readings'
import { startLeakWatch } from '../leak/watch'
import { MAX_TIMER_MS, type Settings } from './options'
import { startLine, startWarnings } from './start-line'
import type { Voice } from './voice'
import { readLimits, type Limits } from '../system/limits'
import { NO_WATCH, watchSignal, type SignalWatch } from './signal'
import { UndoList } from '../base/undo-list'
import { systemClock } from '../base/watch-clock'
import { startWatchAnywhere } from '../thread/movable-watch'
import type { Watch, WatchSettings } from '../watch/watch'

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
  // Installed before the start line is logged: an operator may send the signal right away, and unhandled it kills the process.
  // Removed last, for the same reason: a dump that `stop()` waits for can take minutes.
  const signal = startSignal(settings, (askedBy) => dumpByHand('memory', { askedBy }), voice)
  undo.add(() => signal.stop())
  undo.add(unclaim)
  const limits = readLimits()
  const dumpByHand: Monitoring['dumpByHand'] = (kind, details, durationMs) =>
    watch.request({ kind, rule: 'manual', details, durationMs })
  const watchSettings = watchSettingsOf(settings, engines, limits)
  const orders = createOrders(engines, settings.signal)
  if (settings.sampling) startSamplingAtOnce(orders)
  const watch = startWatchAnywhere({
    settings: watchSettings,
    isThreadWanted: settings.watchdog,
    orders,
    report: voice,
    onStarted: ({ thread, ways }) => {
      const leakPassedOver = leakReadings?.passedOver ?? []
      const packages = usedPackages(engines, leakReadings)
      voice.info(
        startLine({ ...watchSettings, signal: settings.signal, thread, ways, packages, leakPassedOver }),
      )
    },
  })
  undo.add(() => watch.stop())
  if (leakReadings) undo.add(startLeaks(leakReadings, watch, voice))

  for (const line of startWarnings(watchSettings, limits)) voice.notice(line)
  return {
    dumpByHand,
    stop() {
      signal.ignore()
      return undo.run()
    },
  }
}

/** What is watched is claimed for the process. */
function claimsOf({ cpu, memory }: Settings): string[] {
  return [...(cpu ? ['cpu'] : []), ...(memory ? ['memory'] : [])]
}

function enginesNeeded({ cpu, memory }: Settings): ('cpu' | 'memory' | 'leak')[] {
  return [...(cpu ? (['cpu'] as const) : []), ...(memory ? (['memory', 'leak'] as const) : [])]
}

/** A memwatch package that did not load is not used. Whether the others load is not known before a dump. */
function usedPackages({ cpu, memory, leak }: Engines, leakReadings?: ChosenReadings): ResolvedPackage[] {
  const isLeakUsed = leakReadings?.readings.source === leak.package?.name
  const all = [cpu.package, memory.package, isLeakUsed ? leak.package : undefined]
  return all.filter((each) => each !== undefined)
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

function startLeaks({ readings }: ChosenReadings, watch: Watch, voice: Voice): () => void {
  return startLeakWatch({
    source: readings,
    now: systemClock.monotonicMs,
    wallClock: systemClock.epochMs,
    onLeak: (leak, { details, readings: heapReadings }) => {
      voice.leak(leak)
      void watch.request({ kind: 'memory', rule: 'leak', details, readings: heapReadings })
    },
    onFailure: (error) => voice.failure({ stage: 'leak', message: messageOf(error), error }),
  })
}

function startSignal(
  { signal }: Settings,
  onSignal: (signal: string) => Promise<unknown>,
  voice: Voice,
): SignalWatch {
  if (signal === undefined) return NO_WATCH
  return watchSignal({
    signal,
    onSignal: () => onSignal(signal),
    notice: (line) => voice.notice(line),
  })
}
