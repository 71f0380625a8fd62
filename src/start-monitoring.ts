import { messageOf } from './core/message-of'
import { hostname } from 'node:os'
import type { Engines } from './capture/engines'
import { resolveEngines } from './capture/engines'
import { SAMPLING_INTERVAL_BYTES } from './capture/heap-sampling'
import { createOrders, openLocalSession, type OrderTable } from './capture/orders'
import { createHeapSampler } from './capture/heap-sampler'
import { thresholdAboveHeapLimit } from './core/heap-limit'
import { absoluteThreshold } from './core/threshold'
import type { DumpKind, DumpResult } from './dispatch/events'
import { claim } from './dispatch/process-registry'
import { armHeapLimit, type ArmedHeapLimit } from './heap-limit'
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
  const dumpByHand: Monitoring['dumpByHand'] = (kind, details, durationMs) =>
    watch.request({ kind, rule: 'manual', details, durationMs })
  // Before the line that promises it: whoever reads that may send the signal at once, and unheard it ends the process.
  const stopSignal = startSignal(settings, (askedBy) => void dumpByHand('memory', { askedBy }), voice)
  const sampler = createHeapSampler(openLocalSession)
  const heapLimit =
    settings.heapLimit &&
    armHeapLimit({
      ...settings.heapLimit,
      writesLine: settings.logger !== false,
      sampler: settings.sampling ? sampler : undefined,
    })
  const watchSettings = watchSettingsOf(settings, engines, limits, heapLimit)
  const orders = createOrders(engines, sampler)
  if (settings.sampling) startSamplingAtOnce(orders)
  const watch = startWatchAnywhere({
    settings: watchSettings,
    isThreadWanted: settings.watchdog,
    orders,
    report: voice,
    onStarted: ({ thread, ways }) => {
      const leakPassedOver = leakReadings?.passedOver ?? []
      voice.info(
        startLine({
          ...watchSettings,
          signal: settings.signal,
          thread,
          ways,
          leakPassedOver,
          atHeapLimit: heapLimit?.inWords,
        }),
      )
    },
  })
  undo.add(() => watch.stop())
  if (leakReadings) undo.add(startLeaks(leakReadings, watch, voice))
  undo.add(stopSignal)
  if (heapLimit) undo.add(() => heapLimit.disarm())

  const tooHigh = warnOfThreshold(watchSettings, limits)
  if (tooHigh !== undefined) voice.notice(tooHigh)
  return { dumpByHand, stop: () => undo.run() }
}

/** Why a memory threshold will not or will hardly be reached; `undefined` when it can be. */
function warnOfThreshold({ rules, heapLimit }: WatchSettings, limits: Limits): string | undefined {
  if (!rules.memory) return undefined
  const { threshold } = rules.memory
  const never = uselessThreshold(threshold, limits.memoryLimitBytes)
  // More than the machine has: a rule that is not meant to trip.
  if (never !== undefined || !heapLimit || threshold > limits.totalMemoryBytes) return never
  return thresholdAboveHeapLimit('the memory threshold', threshold, heapLimit.limitBytes, heapLimit.baseBytes)
}

/** What is watched is claimed for the process. */
function claimsOf({ cpu, memory }: Settings): string[] {
  return [...(cpu ? ['cpu'] : []), ...(memory ? ['memory'] : [])]
}

function enginesNeeded({ cpu, memory }: Settings): ('cpu' | 'memory' | 'leak')[] {
  return [...(cpu ? (['cpu'] as const) : []), ...(memory ? (['memory', 'leak'] as const) : [])]
}

function watchSettingsOf(
  settings: Settings,
  engines: Engines,
  limits: Limits,
  heapLimit: ArmedHeapLimit | undefined,
): WatchSettings {
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

function startSignal({ signal }: Settings, onSignal: (signal: string) => void, voice: Voice): () => void {
  if (signal === undefined) return () => undefined
  return watchSignal({
    signal,
    onSignal: () => onSignal(signal),
    notice: (line) => voice.notice(line),
  })
}
