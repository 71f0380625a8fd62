import { hostname } from 'node:os'
import type { WorkerBirth } from '../../base/thread-figures'
import { createHeapSampler, type HeapSampler, SAMPLING_INTERVAL_BYTES } from '../../capture/heap/sampler'
import { openLocalSession } from '../../capture/main-thread/local-session'
import { poolSize } from '../../capture/thread-limit'
import { type ArmedHeapLimit, armHeapLimit } from '../../dispatch/arm-heap-limit'
import type { DumpKind } from '../../dispatch/events'
import { claim } from '../../dispatch/gate'
import { type KnownThreads, threadsAtStart, v8PoolSizeOf } from '../../makeup/roster'
import type { Limits } from '../../system/limits'
import { listThreads, mainThreadId } from '../../system/threads'
import { watchWorkerBirths } from '../../system/worker-births'
import type { Settings } from '../options'
import type { Voice } from '../voice'
import { NO_WATCH, type SignalWatch, watchSignal } from './signal'

/** The parts of a monitor that start before the event loop turns. When the other parts start, they take these over. */
export interface AtOnce {
  /** Allows another monitor in this process to watch `cpu` and `memory`, which only one monitor at a time can watch. */
  readonly unclaim: () => void
  readonly signal: SignalWatch
  readonly sampler: HeapSampler
  readonly heapLimit: ArmedHeapLimit | undefined
  /** Kernel ids of the threads of V8 and of libuv's pool. */
  readonly known: KnownThreads
  readonly births: Births
  /** Stops all these parts. Called only if the monitor ends before its other parts have started. */
  readonly stop: () => void
}

/** Record of the worker threads that the main thread starts. */
export interface Births {
  /** Calls `onBirth` for each worker thread that was started so far, and from then on for each new one at its start. */
  passTo(onBirth: (birth: WorkerBirth) => void): void
  stop(): void
}

/** Returns which of `cpu` and `memory` the monitor watches. Only one monitor in a process can watch each of them. */
export function kindsWatched(settings: Pick<Settings, DumpKind>): DumpKind[] {
  return (['cpu', 'memory'] as const).filter((kind) => settings[kind].rule)
}

/**
 * Starts the parts of a monitor that would come too late if they waited until the event loop turns for the first time:
 *
 * - the claim on `cpu` and `memory`, so that the call that starts a second monitor for one of them throws;
 * - the listener for the signal that triggers heap snapshots, because that signal ends a process without a listener;
 * - the callback at V8's heap limit, because a program can fill its heap before its event loop turns;
 * - the sampling heap profiler, so that it covers the allocations of the application's start;
 * - the record of threads, because the order in which threads start shows which are V8's and which are libuv's.
 *
 * @throws Error when this process already watches `cpu` or `memory`. Then nothing has been started.
 */
export function startAtOnce(settings: Settings, voice: Pick<Voice, 'notice'>): AtOnce {
  const unclaim = claim(kindsWatched(settings))
  const signal =
    settings.signal === undefined
      ? NO_WATCH
      : watchSignal({ signal: settings.signal, notice: (line) => voice.notice(line) })
  const sampler = createHeapSampler(openLocalSession)
  const heapLimit = settings.heapLimit && armHeapLimit(heapLimitParts(settings, sampler))
  if (settings.memory.sampling) startSampling(sampler)
  const births = noteBirths()
  const stop = (): void => {
    births.stop()
    sampler.stop()
    heapLimit?.disarm()
    signal.stop()
    unclaim()
  }
  return { unclaim, signal, sampler, heapLimit, known: threadsNow(), births, stop }
}

function heapLimitParts(
  { logger, memory, signal, heapLimit }: Settings,
  sampler: HeapSampler,
): Parameters<typeof armHeapLimit>[0] {
  const { directory, redact, rule } = memory
  return {
    holdMs: heapLimit?.holdMs ?? 0,
    writesLine: logger !== false,
    sampler: memory.sampling ? sampler : undefined,
    signal,
    plan: { directory, redact, budget: rule?.budget ?? NO_DUMPS, where: whereOf({}) },
  }
}

const NO_DUMPS = { tokensPerInterval: 0, intervalMs: 1 }

/**
 * Returns the description of this process for the `.json` file of each dump: versions of Node.js and V8, pid, host and limits.
 *
 * @param limits - Limits of memory and CPU. Empty for a dump before the event loop turns, because reading them would delay the
 * application's start by several ms.
 */
export function whereOf(limits: Limits | Readonly<Record<string, never>>) {
  return {
    node: process.version,
    v8: process.versions.v8,
    pid: process.pid,
    host: hostname(),
    limits: { ...limits },
  }
}

/** Starts the sampling heap profiler. Ignores an error, because the monitor tries again later and then reports a failure. */
function startSampling(sampler: HeapSampler): void {
  try {
    sampler.start(SAMPLING_INTERVAL_BYTES)
  } catch {
    return
  }
}

/** Returns the kernel ids of the threads of V8 and of libuv's pool, as far as the order of their starts tells them apart. */
function threadsNow(): KnownThreads {
  const main = mainThreadId()
  const v8PoolSize = v8PoolSizeOf([...process.execArgv, ...(process.env['NODE_OPTIONS'] ?? '').split(/\s+/)])
  return main === undefined
    ? { v8: [], pool: [] }
    : threadsAtStart(listThreads(), main, v8PoolSize, poolSize())
}

function noteBirths(): Births {
  const soFar: WorkerBirth[] = []
  let onBirth = (birth: WorkerBirth): void => void soFar.push(birth)
  const stop = watchWorkerBirths((birth) => onBirth(birth))
  return {
    passTo(to) {
      soFar.forEach(to)
      onBirth = to
    },
    stop,
  }
}
