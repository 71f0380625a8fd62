import { constants } from 'node:os'
import * as v8 from 'node:v8'
import { messageOf } from '../base/globals'
import { readRssBeside } from '../base/rss'
import { AFTER_START_MS, clearTimeout, setTimeout } from '../base/time'
import { type HeapLimitPlan, loadForkHelper } from '../capture/heap/fork/helper'
import { type HeapLimitToWatch, HOLD_UNTIL_PLANNED_MS, isLeftToNode } from '../capture/heap/limit/allowance'
import type * as heapLimitJob from '../capture/heap/limit/job'
import { createHeapSampler, type HeapSampler, SAMPLING_INTERVAL_BYTES } from '../capture/heap/sampler'
import { openLocalSession } from '../capture/main-thread/local-session'
import { claim } from './gate'

export interface ArmedHeapLimit {
  readonly toWatch: HeapLimitToWatch
  readonly atLimit: AtHeapLimit
  /** Undoes the arming within the call. Idempotent. */
  readonly disarm: () => void
}

/** What happens at V8's heap limit. */
export interface AtHeapLimit {
  /** For the log line at start. */
  readonly inWords: string
  /** Whether a dump will be written, by this library or by Node itself. */
  readonly hasDump: boolean
}

export interface HeapLimitParts {
  /** Longest time that a process is held whose end would also end its children, ms. */
  readonly holdMs: number
  /** Whether the line at the limit may be written to stderr. */
  readonly writesLine: boolean
  /** The sampling heap profiler to read from, if it runs. */
  readonly sampler: HeapSampler | undefined
  /** The signal that triggers dumps; the forked child ignores it. */
  readonly signal: NodeJS.Signals | undefined
  /** Whether the watch gets a thread of its own, which can decide while the main thread stands still. */
  readonly isThreadWanted: boolean
  /** @default the result of `loadForkHelper()` */
  readonly fork?: ReturnType<typeof loadForkHelper>
}

/** A method that Node 26.9 added to V8: https://github.com/nodejs/node/pull/64676 */
type V8OfToday = typeof v8 & { readonly setHeapProfileNearHeapLimit?: (dumps: number) => void }

/**
 * Arms the dump at V8's heap limit, or the best substitute for it. On the main thread. Never throws: the monitor works
 * without it as well.
 */
export function armHeapLimit(parts: HeapLimitParts): ArmedHeapLimit {
  const { holdMs, writesLine, sampler, signal, isThreadWanted, fork = loadForkHelper() } = parts
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
    disarm: () => undefined,
  })

  if (isLeftToNode(process.execArgv, process.env['NODE_OPTIONS']))
    return otherwise({ inWords: 'dumps are left to --heapsnapshot-near-heap-limit', hasDump: true })
  if (!('helper' in fork)) return otherwise(withoutHelper(fork.unavailable, sampler))
  const { armHeapLimit: arm, prepareHeapLimit: prepare, disarmHeapLimit: disarm } = fork.helper
  if (!arm || !prepare || !disarm)
    return otherwise(withoutHelper('the fork helper is of another version', sampler))
  let unclaim: () => void
  try {
    unclaim = claim(['heap-limit'])
  } catch {
    return otherwise({ inWords: 'handled by another monitor in this process', hasDump: true })
  }
  let arming: number
  try {
    arming = arm((child) => loadJob().writeHeapLimitDump(child, sampler, collectGarbage))
    prepare(firstPlan(arming, writesLine, isThreadWanted))
  } catch (error) {
    // It may be armed already, and only the plan have failed. Does nothing otherwise.
    disarm()
    unclaim()
    return otherwise(withoutHelper(messageOf(error), sampler))
  }
  // Loaded before the child, which is short of memory, needs it, but not during the application's start.
  const loading = setTimeout(loadJobIfPossible, AFTER_START_MS).unref()
  let isOver = false
  return {
    toWatch: { ...common, arming },
    atLimit: { inWords: `${sampler ? 'profile and snapshot' : 'snapshot'} by a forked child`, hasDump: true },
    disarm: () => {
      if (isOver) return
      isOver = true
      clearTimeout(loading)
      disarm()
      unclaim()
    },
  }
}

function loadJob(): typeof heapLimitJob {
  return require('../capture/heap/limit/job') as typeof heapLimitJob
}

function loadJobIfPossible(): void {
  try {
    loadJob()
  } catch {
    // The process is without a free descriptor: the child tries again.
  }
}

/**
 * The substitute without the fork helper: Node 26.9 and later write the profile of this library's sampler into a
 * directory of their own. No call undoes this, but once the sampler has stopped there is nothing to write.
 */
function withoutHelper(why: string, sampler: HeapSampler | undefined): AtHeapLimit {
  const { setHeapProfileNearHeapLimit } = v8 as V8OfToday
  const nothing = (reason: string) => ({ inWords: `no dump will be written (${reason})`, hasDump: false })
  if (!sampler || setHeapProfileNearHeapLimit === undefined) return nothing(why)
  try {
    setHeapProfileNearHeapLimit(1)
    return { inWords: `profile by Node.js to its --diagnostic-dir (${why})`, hasDump: true }
  } catch (error) {
    return nothing(`${why}; ${messageOf(error)}`)
  }
}

/** The plan until the first reading makes another, for which the process waits if the watch has its own thread. */
function firstPlan(arming: number, writesLine: boolean, isThreadWanted: boolean): HeapLimitPlan {
  const options = {
    dataAllowanceBytes: 0,
    deadlineSeconds: 1,
    niceness: 0,
    firstForOomKiller: true,
    ignoredSignal: 0,
  }
  const nothing = {
    holdMs: isThreadWanted ? HOLD_UNTIL_PLANNED_MS : 1,
    holdsToEnd: false,
    hasProfile: false,
    hasSnapshot: false,
    directory: '',
    facts: '',
  }
  return { arming, options, ...nothing, writesLine, refusal: 'the watch has not begun yet' }
}

/**
 * Collects garbage in a child without a sampling profile: the parent waits until that is done. Reading a sampler
 * collects within the call; `HeapProfiler.collectGarbage` would do so in a later turn of the event loop, and the child
 * has no event loop.
 */
function collectGarbage(): void {
  try {
    const sampler = createHeapSampler(openLocalSession)
    sampler.start(SAMPLING_INTERVAL_BYTES)
    sampler.read()
    sampler.stop()
  } catch {
    // A Node without the inspector: taking the snapshot collects garbage as well.
  }
}
