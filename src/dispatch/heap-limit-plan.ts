import type { PassedOver } from '../capture/capture'
import { limitsOfChild } from '../capture/heap/fork/child-limits'
import { FORK_WAY, type HeapLimitPlan } from '../capture/heap/fork/helper'
import {
  decideAtHeapLimit,
  type HeapLimitDecision,
  type HeapLimitToWatch,
  HOLD_UNTIL_COLLECTED_MS,
} from '../capture/heap/limit/allowance'
import type { HeapLimitJobFacts } from '../capture/heap/limit/job'
import { cutToBytes, factsText, MOST_REFUSAL_BYTES } from '../capture/heap/limit/texts'
import type { MemoryRoom } from '../capture/room'
import type { Disk } from '../files/directory'
import { childDeadlineMs } from '../files/expiry'
import type { Budget } from './budget'

/**
 * Input of {@link planAtHeapLimit} that comes from the options and the process. {@link PlanFigures} is its input that changes.
 */
export interface PlanParts {
  readonly heapLimit: HeapLimitToWatch
  readonly directory: string
  readonly budget: Budget
  /** Whether snapshots are written without the contents of strings (option `memory.redact`). */
  readonly redact?: boolean | undefined
  readonly where: HeapLimitJobFacts['where']
  /**
   * Whether the end of the process would also end the dumping child. If so, the process waits for the child to end, for at most
   * `heapLimit.holdMs`.
   */
  readonly holdsToEnd: boolean
}

/**
 * What is known when a plan is made: the memory of the process, the disk, the number of recent dumps at the heap limit (counted
 * about once a minute), and data for the sidecar. The first plan assumes a free disk and no dumps.
 */
export interface PlanFigures extends Pick<HeapLimitJobFacts, 'readings' | 'makeup' | 'flight'> {
  readonly rssBytes: number
  /** Number of dumps in the directory that were made at the heap limit during the interval of the budget. */
  readonly recentDumps: number
  readonly disk: Disk | { readonly error: string }
  readonly room: MemoryRoom
  /** Whether the kernel kills all processes of the cgroup together when memory runs out. */
  readonly isKilledAsOne: boolean
}

/** Makes the plan that the native helper carries out at V8's heap limit, where no JavaScript can run to decide anything. */
export function planAtHeapLimit(parts: PlanParts, figures: PlanFigures): Omit<HeapLimitPlan, 'arming'> {
  const { heapLimit, directory, budget, redact = false, where, holdsToEnd } = parts
  const { disk, isKilledAsOne, readings, makeup, flight } = figures
  const { limitBytes, baseBytes, writesLine, hasProfile, ignoredSignal } = heapLimit
  const holdMs = holdsToEnd ? heapLimit.holdMs : HOLD_UNTIL_COLLECTED_MS
  const decision: HeapLimitDecision =
    'error' in disk
      ? { refusal: `directory: ${disk.error}` }
      : decideAtHeapLimit({ ...figures, limitBytes, baseBytes, redact, budget, disk })
  const hasSnapshot = decision.refusal === undefined && decision.hasSnapshot
  const allowanceBytes = decision.refusal === undefined ? decision.allowanceBytes : 0
  const deadlineMs = childDeadlineMs(limitBytes, redact)
  const limits = { ...where.limits, childDeadlineMs: deadlineMs }
  const facts: HeapLimitJobFacts = {
    ...{ directory, hasProfile, hasSnapshot, redact, budget },
    passedOver: passedOverBy(decision),
    ...{ readings, where: { ...where, limits }, makeup, flight },
  }
  const refusal = decision.refusal ?? (hasProfile || hasSnapshot ? undefined : decision.noSnapshot)
  return {
    options: { ...limitsOfChild(deadlineMs, allowanceBytes, isKilledAsOne), ignoredSignal },
    ...{ holdMs, holdsToEnd, writesLine, hasProfile, hasSnapshot },
    // Empty if refused: one reason is a path that is too long for the system, and the native plan could not hold it.
    directory: decision.refusal === undefined ? directory : '',
    refusal: cutToBytes(refusal ?? '', MOST_REFUSAL_BYTES),
    facts: factsText(facts),
  }
}

function passedOverBy(decision: HeapLimitDecision): readonly PassedOver[] {
  const why = decision.refusal ?? decision.noSnapshot
  return why === undefined ? [] : [{ way: FORK_WAY, why }]
}
