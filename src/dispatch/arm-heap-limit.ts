import { readFileSync } from 'node:fs'
import { constants } from 'node:os'
import * as v8 from 'node:v8'
import { messageOf } from '../base/globals'
import { clearTimeout, setTimeout } from '../base/time'
import { type HeapLimitPlan, loadForkHelper } from '../capture/heap/fork/helper'
import {
  endsItsChildren,
  type HeapLimitToWatch,
  HOLD_UNTIL_COLLECTED_MS,
  HOLD_UNTIL_PLANNED_MS,
  isLeftToNode,
} from '../capture/heap/limit/allowance'
import type * as heapLimitJob from '../capture/heap/limit/job'
import { createHeapSampler, type HeapSampler, SAMPLING_INTERVAL_BYTES } from '../capture/heap/sampler'
import { openLocalSession } from '../capture/main-thread/local-session'
import { claim } from './gate'

export interface ArmedHeapLimit {
  readonly toWatch: HeapLimitToWatch
  /** For the start line: what happens at the limit. */
  readonly inWords: string
  /** Idempotent. Within the call nothing is left of it. */
  readonly disarm: () => void
}

export interface HeapLimitParts {
  /** How long a process is held that takes its children along, ms. */
  readonly holdMs: number
  /** Whether the line at the limit may be written to stderr. */
  readonly writesLine: boolean
  /** Runs if there is one to read from. */
  readonly sampler: HeapSampler | undefined
  /** The signal that orders dumps. */
  readonly signal: NodeJS.Signals | undefined
  /** Whether the watch gets a thread of its own, which makes plans while the main thread stands still. */
  readonly isThreadWanted: boolean
  /** @default what `loadForkHelper()` finds */
  readonly fork?: ReturnType<typeof loadForkHelper>
}

/** V8 with what Node 26.9 added: https://github.com/nodejs/node/pull/64676 */
type V8OfToday = typeof v8 & { readonly setHeapProfileNearHeapLimit?: (dumps: number) => void }

/**
 * Arms the dump at V8's heap limit, or takes what there is instead of it. On the main thread. Never throws: without it the monitor
 * works as well.
 */
export function armHeapLimit(parts: HeapLimitParts): ArmedHeapLimit {
  const { holdMs, writesLine, sampler, signal, isThreadWanted, fork = loadForkHelper() } = parts
  const { heap_size_limit: limitBytes, total_heap_size: heapBytes } = v8.getHeapStatistics()
  const baseBytes = Math.max(0, process.memoryUsage.rss() - heapBytes)
  const holdsToEnd = endsItsChildren(process.pid, process.ppid, readNameOfInit())
  const hold = { holdMs: holdsToEnd ? holdMs : HOLD_UNTIL_COLLECTED_MS, holdsToEnd }
  const ignoredSignal = signal === undefined ? 0 : constants.signals[signal]
  const common = {
    limitBytes,
    baseBytes,
    ...hold,
    writesLine,
    hasProfile: sampler !== undefined,
    ignoredSignal,
  }
  const otherwise = (inWords: string) => ({
    toWatch: { ...common, isArmed: false },
    inWords,
    disarm: () => undefined,
  })

  if (isLeftToNode(process.execArgv, process.env['NODE_OPTIONS']))
    return otherwise('left to --heapsnapshot-near-heap-limit')
  if (!('helper' in fork)) return otherwise(withoutHelper(fork.unavailable, sampler))
  const { armHeapLimit: arm, prepareHeapLimit: prepare, disarmHeapLimit: disarm } = fork.helper
  if (!arm || !prepare || !disarm)
    return otherwise(withoutHelper('the fork helper is of another version', sampler))
  let unclaim: () => void
  try {
    unclaim = claim(['heap-limit'])
  } catch {
    return otherwise('looked after by another part of this process')
  }
  try {
    arm((child) => loadJob().writeHeapLimitDump(child, sampler, collectGarbage))
    prepare(firstPlan(writesLine, isThreadWanted))
  } catch (error) {
    unclaim()
    return otherwise(withoutHelper(messageOf(error), sampler))
  }
  // Not in the child, which is short of memory, and not in the application's start.
  const loading = setTimeout(() => void loadJob(), 0).unref()
  let isOver = false
  return {
    toWatch: { ...common, isArmed: true },
    inWords: sampler ? 'profile and snapshot by fork' : 'snapshot by fork',
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

/**
 * Node 26.9 and later write the profile of our sampler into a place of their own. No call takes this back, but once the sampler has
 * stopped there is nothing to write.
 */
function withoutHelper(why: string, sampler: HeapSampler | undefined): string {
  const { setHeapProfileNearHeapLimit } = v8 as V8OfToday
  if (!sampler || setHeapProfileNearHeapLimit === undefined) return `nothing is written (${why})`
  try {
    setHeapProfileNearHeapLimit(1)
    return `profile by Node.js to its --diagnostic-dir (${why})`
  } catch (error) {
    return `nothing is written (${why}; ${messageOf(error)})`
  }
}

/** In force until the watch has looked at the room and the budget, which is waited for if it does so on a thread of its own. */
function firstPlan(writesLine: boolean, isThreadWanted: boolean): HeapLimitPlan {
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
  return { options, ...nothing, writesLine, refusal: 'the watch has not begun yet' }
}

function readNameOfInit(): string {
  try {
    return readFileSync('/proc/1/comm', 'utf8')
  } catch {
    return ''
  }
}

/**
 * For a child without a sampling profile: the collection that the parent waits for. The read of a sampler collects within the call,
 * `HeapProfiler.collectGarbage` does so in a later turn of the event loop, of which the child has none.
 */
function collectGarbage(): void {
  try {
    const sampler = createHeapSampler(openLocalSession)
    sampler.start(SAMPLING_INTERVAL_BYTES)
    sampler.read()
    sampler.stop()
  } catch {
    // A Node without inspector: the snapshot collects as well.
  }
}
