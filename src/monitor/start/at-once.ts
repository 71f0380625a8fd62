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

/** The parts of a monitor that cannot wait until the event loop turns. The rest of the monitor takes them over. */
export interface AtOnce {
  /** Lets another monitor of this process watch what this one watches. */
  readonly unclaim: () => void
  readonly signal: SignalWatch
  readonly sampler: HeapSampler
  readonly heapLimit: ArmedHeapLimit | undefined
  /** The threads of V8 and of libuv's pool. */
  readonly known: KnownThreads
  readonly births: Births
  /** Stops all of them, for a monitor whose rest was never started. */
  readonly stop: () => void
}

/** The worker threads that the main thread starts. */
export interface Births {
  /** From this call on, each birth is passed on at once; first those so far. */
  passTo(onBirth: (birth: WorkerBirth) => void): void
  stop(): void
}

/** Returns what is watched by a rule of its own: for that, only one monitor can run in a process. */
export function kindsWatched(settings: Pick<Settings, DumpKind>): DumpKind[] {
  return (['cpu', 'memory'] as const).filter((kind) => settings[kind].rule)
}

/**
 * Starts what would come too late when the event loop has turned for the first time:
 *
 * - the claim, so that a second monitor of this process is refused at its call;
 * - the listener for the signal: an uncaught signal ends the process;
 * - the callback at V8's heap limit, because a program can fill its heap in its first run, without the event loop;
 * - the sampling heap profiler, so that it covers the allocations of the application's start;
 * - the threads, which are told apart by the order in which they start.
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
 * Returns what the `.json` of each dump tells about this process.
 *
 * @param limits - Empty for a dump before the event loop turns: reading them would take a start several ms.
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

/** Starts the sampling heap profiler. Errors are ignored: the watch starts it again later, and reports a failure. */
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
