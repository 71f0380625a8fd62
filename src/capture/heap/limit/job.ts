import { getHeapStatistics } from 'node:v8'
import { messageOf, parseJson } from '../../../base/globals'
import { epochMs, monotonicMs } from '../../../base/time'
import { type OpenArtefact, openArtefact } from '../../../files/artefact'
import { makeDirectory } from '../../../files/directory'
import { artefactBaseName } from '../../../files/names'
import type { How, KnownBefore, Sidecar } from '../../../files/sidecar'
import type { PassedOver } from '../../capture'
import { FORK_WAY, type HeapLimitChild } from '../fork/helper'
import { writeSnapshotHere } from '../redacted'
import { type HeapSampler, SAMPLING_INTERVAL_BYTES } from '../sampler'
import { SAMPLING_WAY } from '../sampling'
import { countRecentDumps, readHeapLimitDumpsNow } from './earlier-dumps'

/** Input of {@link writeHeapLimitDump}, prepared at the latest memory reading, and passed as JSON in the plan's `facts`. */
export interface HeapLimitJobFacts {
  readonly directory: string
  readonly hasProfile: boolean
  readonly hasSnapshot: boolean
  /** Whether the contents of strings are left out of the snapshot. @default false */
  readonly redact?: boolean
  /** Largest number of dumps at the heap limit per interval, by all processes of this host that use the directory together. */
  readonly budget: { readonly tokensPerInterval: number; readonly intervalMs: number }
  readonly passedOver: readonly PassedOver[]
  readonly readings: Sidecar['why']['readings']
  readonly where: Omit<Sidecar['where'], 'directory' | 'startedAt'>
  readonly makeup?: Sidecar['makeup']
  readonly flight?: Sidecar['flight']
}

/**
 * Writes the sampling profile and the snapshot, in the child that was forked at V8's heap limit. Calls nothing that needs
 * another thread or an event loop.
 *
 * The sampling profile comes first, so that some evidence exists even if the snapshot fails. Reading it forces the first
 * full GC, in which the child may turn out to need a thread that it does not have, so no file is created before that. (If an
 * addon has started the profiler, that GC may come only with the snapshot.) The
 * parent waits a limited time for the profile, because a supervisor may end the child as soon as the parent has died.
 *
 * The budget of dumps per interval is checked again before the first file: the plan may be ten seconds old, and processes that
 * share a directory, such as cluster workers, may reach their heap limits at the same time.
 *
 * @returns Whether a file was written.
 */
export function writeHeapLimitDump(
  child: HeapLimitChild,
  sampler: HeapSampler | undefined,
  collectGarbage: () => void,
): boolean {
  // Without this, a child that runs out of memory writes a diagnostic report into the application's working directory.
  if (process.report) process.report.reportOnFatalError = false
  const facts = parseJson(child.facts) as HeapLimitJobFacts
  const startedAtMs = monotonicMs()
  const read = facts.hasProfile && sampler ? sampler.read() : { samples: 0, json: '' }
  if (read.samples === 0) collectGarbage()
  if (isBudgetSpent(child, facts)) {
    child.report('spent')
    return false
  }

  let isUnopened = false
  const create = (extension: '.heapprofile' | '.heapsnapshot'): OpenArtefact => {
    isUnopened = true
    const open = createFile(child, facts, extension)
    isUnopened = false
    return open
  }
  const profile =
    facts.hasProfile &&
    attemptTo(() => {
      if (!sampler || read.samples === 0)
        throw new Error('the sampling heap profiler has no samples, or was stopped')
      const notes = {
        samplingIntervalBytes: SAMPLING_INTERVAL_BYTES,
        samples: read.samples,
        sampler: sampler.state(),
        inForkedChild: true,
      }
      complete(create('.heapprofile'), (open) => {
        open.write(read.json)
        return { ...howOf(child, facts.passedOver, startedAtMs), way: SAMPLING_WAY, notes }
      })
      child.report('profile')
    })
  // Created before the parent goes on, so that the parent's last line can say that it failed. This child has no stderr.
  const file = facts.hasSnapshot && attemptTo(() => create('.heapsnapshot'))
  if (isUnopened) child.report('unopened')
  child.report('collected')
  const noProfile = profile && 'failed' in profile ? [{ way: SAMPLING_WAY, why: profile.failed }] : []
  const snapshot =
    file &&
    'done' in file &&
    attemptTo(() => {
      complete(file.done, (open) => {
        const snapshotStartedAtMs = monotonicMs()
        const redacted = writeSnapshotHere(open, facts.redact)
        const passedOver = [...facts.passedOver, ...noProfile]
        const notes = { ...redacted, childPeakBytes: process.resourceUsage().maxRSS * 1024 }
        return { ...howOf(child, passedOver, snapshotStartedAtMs), way: FORK_WAY, notes }
      })
      child.report('snapshot')
    })
  return [profile, snapshot].some((outcome) => outcome && !('failed' in outcome))
}

/** Whether the budget of dumps per interval is used up. Files that an earlier child of this same dump has left do not count. */
function isBudgetSpent(
  { reachedAtMs }: HeapLimitChild,
  { directory, where, budget }: HeapLimitJobFacts,
): boolean {
  const nowMs = epochMs()
  const dumps = readHeapLimitDumpsNow(directory, where.host, nowMs)
  const others = dumps.filter(({ pid, startedAtMs }) => pid !== where.pid || startedAtMs < reachedAtMs)
  return countRecentDumps(others, nowMs, budget.intervalMs) >= budget.tokensPerInterval
}

function howOf(
  child: HeapLimitChild,
  passedOver: readonly PassedOver[],
  startedAtMs: number,
): Pick<How, 'passedOver' | 'pauseMs' | 'durationMs'> {
  return { passedOver, pauseMs: child.pauseMs(), durationMs: monotonicMs() - startedAtMs }
}

function createFile(
  child: HeapLimitChild,
  facts: HeapLimitJobFacts,
  extension: '.heapprofile' | '.heapsnapshot',
): OpenArtefact {
  makeDirectory(facts.directory)
  return openArtefact(facts.directory, `${nameOf(child, facts)}${extension}`, sidecarOf(child, facts))
}

/** Writes and completes a file of the dump. After an error, removes it, because the application may have ended. */
function complete(open: OpenArtefact, write: (open: OpenArtefact) => How): void {
  try {
    open.publishNow(write(open))
  } catch (error) {
    open.abandon()
    throw error
  }
}

function nameOf({ startedAtMs }: HeapLimitChild, { where }: HeapLimitJobFacts): string {
  return artefactBaseName({ kind: 'memory', rule: 'heap-limit', pid: where.pid, startedAtMs })
}

function sidecarOf(child: HeapLimitChild, facts: HeapLimitJobFacts): KnownBefore {
  const { directory, readings, where, makeup, flight } = facts
  const heapUsedBytes = getHeapStatistics().used_heap_size
  const reachedAt = new Date(child.reachedAtMs).toISOString()
  const details = { heapLimit: child.limitBytes, heapUsed: heapUsedBytes, reachedAt, fork: child.fork }
  return {
    why: { kind: 'memory', rule: 'heap-limit', details, readings },
    ...{ makeup, flight },
    where: { ...where, directory, startedAt: new Date(child.startedAtMs).toISOString() },
  }
}

function attemptTo<T>(work: () => T): { readonly done: T } | { readonly failed: string } {
  try {
    return { done: work() }
  } catch (error) {
    return { failed: messageOf(error) }
  }
}
