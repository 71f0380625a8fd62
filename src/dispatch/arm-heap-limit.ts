import { constants } from 'node:os'
import * as v8 from 'node:v8'
import { messageOf } from '../base/globals'
import { loadLate } from '../base/late'
import { readRssBeside } from '../base/rss'
import { AFTER_START_MS, clearTimeout, setTimeout } from '../base/time'
import { loadForkHelper } from '../capture/heap/fork/helper'
import { type HeapLimitToWatch, isLeftToNode } from '../capture/heap/limit/allowance'
import { endsItsChildrenHere } from '../capture/heap/limit/ends-children'
import type * as heapLimitJob from '../capture/heap/limit/job'
import { createHeapSampler, type HeapSampler, SAMPLING_INTERVAL_BYTES } from '../capture/heap/sampler'
import { openLocalSession } from '../capture/main-thread/local-session'
import { isGroupKilledAsOne, readMemoryRoom } from '../capture/memory-room'
import { claim } from './gate'
import { planAtHeapLimit, type PlanParts } from './heap-limit-plan'

/** The module that a child forked at V8's heap limit runs to write the dump. */
export type HeapLimitJob = typeof heapLimitJob

/** Result of {@link armHeapLimit}. */
export interface ArmedHeapLimit {
  /** Data with which the thread that takes the readings plans dumps at the heap limit. */
  readonly toWatch: HeapLimitToWatch
  readonly atLimit: AtHeapLimit
  /**
   * Makes this process load the code of the forked child a second after this call, so that the child, which is short of memory,
   * need not load it.
   *
   * @param load - Loads that code from the caller's own bundle. @default loads the file of that code
   */
  readonly loadJobLater: (load?: () => HeapLimitJob) => void
  /** Removes the callback at the heap limit, synchronously. Idempotent. */
  readonly disarm: () => void
}

/** What happens at V8's heap limit. */
export interface AtHeapLimit {
  /** What will be dumped and by which process, as a phrase for the start line of the log. */
  readonly inWords: string
  /** Whether a dump will be written, by this library or by Node itself. */
  readonly hasDump: boolean
}

export interface HeapLimitParts {
  /** Longest time, ms, that a process at its heap limit waits for the dump, if its end would also end the dumping child. */
  readonly holdMs: number
  /** Whether a line may be written to stderr when the heap limit is reached. */
  readonly writesLine: boolean
  /** The sampling heap profiler to read from, if it runs. */
  readonly sampler: HeapSampler | undefined
  /** The signal that triggers dumps; the forked child ignores it. */
  readonly signal: NodeJS.Signals | undefined
  /** Directory, budget and other data from which the first plan for a dump at the heap limit is made. */
  readonly plan: FirstPlanParts
  /** The native fork helper. @default the result of `loadForkHelper()` */
  readonly fork?: ReturnType<typeof loadForkHelper>
}

/** Directory, budget, redaction and process data for the first plan. {@link armHeapLimit} fills in the omitted fields. */
export type FirstPlanParts = Omit<PlanParts, 'heapLimit' | 'holdsToEnd'>

/** `node:v8` with the method that Node 26.9 added: https://github.com/nodejs/node/pull/64676 */
type V8OfToday = typeof v8 & { readonly setHeapProfileNearHeapLimit?: (dumps: number) => void }

/**
 * Installs the callback that V8 calls at its heap limit, which forks a child that writes a dump. Where that is impossible, lets
 * Node.js itself write a heap profile there, if this Node.js can. Call it on the main thread. Never throws: without this dump the
 * rest of the monitor still works.
 */
export function armHeapLimit(parts: HeapLimitParts): ArmedHeapLimit {
  const { holdMs, writesLine, sampler, signal, plan, fork = loadForkHelper() } = parts
  const { heap_size_limit: limitBytes, total_heap_size: heapBytes } = v8.getHeapStatistics()
  const baseBytes = readRssBeside(heapBytes)
  const ignoredSignal = signal === undefined ? 0 : constants.signals[signal]
  const common = {
    limitBytes,
    baseBytes,
    holdMs,
    writesLine,
    hasProfile: sampler !== undefined,
    ignoredSignal,
  }
  const otherwise = (atLimit: AtHeapLimit) => ({
    toWatch: common,
    atLimit,
    loadJobLater: () => undefined,
    disarm: () => undefined,
  })

  if (isLeftToNode(process.execArgv, process.env['NODE_OPTIONS']))
    return otherwise({ inWords: 'dumps are left to --heapsnapshot-near-heap-limit', hasDump: true })
  if (!('helper' in fork)) return otherwise(withoutHelper(fork.unavailable, sampler))
  const { armHeapLimit: arm, prepareHeapLimit: prepare, disarmHeapLimit: disarm } = fork.helper
  if (!arm || !prepare || !disarm)
    return otherwise(withoutHelper('the native fork helper is of another version of this package', sampler))
  let unclaim: () => void
  try {
    unclaim = claim(['heap-limit'])
  } catch {
    return otherwise({ inWords: 'dump by another monitor in this process', hasDump: true })
  }
  let arming: number
  let loadJob = loadOwnJob
  try {
    arming = arm((child) => loadJob().writeHeapLimitDump(child, sampler, collectGarbage))
    prepare({ ...firstPlan(plan, common), arming })
  } catch (error) {
    // If `prepare` failed, the callback is installed and must be removed. If `arm` failed, this call does nothing.
    disarm()
    unclaim()
    return otherwise(withoutHelper(messageOf(error), sampler))
  }
  let loading: NodeJS.Timeout | undefined
  let isOver = false
  return {
    toWatch: { ...common, arming },
    atLimit: { inWords: `${sampler ? 'profile and snapshot' : 'snapshot'} by a forked child`, hasDump: true },
    loadJobLater(load = loadOwnJob) {
      if (isOver) return
      loadJob = load
      loading = setTimeout(() => loadIfPossible(load), AFTER_START_MS).unref()
    },
    disarm: () => {
      if (isOver) return
      isOver = true
      if (loading) clearTimeout(loading)
      disarm()
      unclaim()
    },
  }
}

function loadOwnJob(): HeapLimitJob {
  return loadLate(() => require('../capture/heap/limit/job') as typeof heapLimitJob)
}

function loadIfPossible(load: () => HeapLimitJob): void {
  try {
    load()
  } catch {
    // Loading fails without a free file descriptor, for example. The forked child then tries again.
  }
}

/**
 * Makes Node itself write a profile at the heap limit, for the case that the fork helper cannot be used, and returns what will
 * happen there. Only Node 26.9 and later can: they write the profile of this library's sampler to the directory of
 * `--diagnostic-dir`. Node has no call to switch that off, but writes nothing once the sampler has stopped.
 *
 * @param why - Why the fork helper cannot be used.
 */
function withoutHelper(why: string, sampler: HeapSampler | undefined): AtHeapLimit {
  const { setHeapProfileNearHeapLimit } = v8 as V8OfToday
  const nothing = (reason: string) => ({ inWords: `no dump will be written (${reason})`, hasDump: false })
  if (!sampler || setHeapProfileNearHeapLimit === undefined) return nothing(why)
  try {
    setHeapProfileNearHeapLimit(1)
    return { inWords: `heap profile by Node.js to its --diagnostic-dir (${why})`, hasDump: true }
  } catch (error) {
    return nothing(`${why}; ${messageOf(error)}`)
  }
}

/**
 * Makes the first plan: whether and how to dump at the heap limit until the thread that takes the readings makes the next plan.
 * Without it there would be no dump of a program that fills its heap before its event loop turns for the first time. Free disk
 * space is not read, because that could block on a network drive. The dumps of earlier processes are not counted here: the forked
 * child counts them before it writes.
 */
function firstPlan(parts: FirstPlanParts, heapLimit: HeapLimitToWatch) {
  return planAtHeapLimit(
    { ...parts, heapLimit, holdsToEnd: endsItsChildrenHere() },
    {
      ...{ rssBytes: process.memoryUsage.rss(), recentDumps: 0, readings: [] },
      disk: { freeBytes: Infinity, isMemory: false },
      room: readMemoryRoom(),
      isKilledAsOne: isGroupKilledAsOne(),
    },
  )
}

/**
 * Collects garbage in a forked child that has no sampling profile to read; the parent waits until that is done. Reading a
 * sampler that this library has started collects garbage before it returns. `HeapProfiler.collectGarbage` would do so in a later iteration of the event
 * loop, and the child runs no event loop.
 */
function collectGarbage(): void {
  try {
    const sampler = createHeapSampler(openLocalSession)
    sampler.start(SAMPLING_INTERVAL_BYTES)
    sampler.read()
    sampler.stop()
  } catch {
    // This Node has no inspector. The heap snapshot that follows also collects garbage.
  }
}
