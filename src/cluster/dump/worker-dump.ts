import { hostname } from 'node:os'
import { messageOf } from '../../base/globals'
import { epochMs, setTimeout } from '../../base/time'
import type { Capturer, Job, Refusal } from '../../capture/capture'
import { resolveEngines } from '../../capture/engines'
import { createHeapCapturer } from '../../capture/heap/ladder'
import { createHeapSampler, type HeapSampler } from '../../capture/heap/sampler'
import { createOrders } from '../../capture/main-thread/carry-out'
import { createDirectMainThread } from '../../capture/main-thread/direct'
import { openLocalSession } from '../../capture/main-thread/local-session'
import { createRoomProbe } from '../../capture/room-probe'
import type { Budget } from '../../dispatch/budget'
import { GATE_RETRY_MS } from '../../dispatch/dispatcher'
import { dumpOnce } from '../../dispatch/dump-once'
import { Gate, processRegistry } from '../../dispatch/gate'
import { artefactBaseName } from '../../files/names'
import { deleteExpired } from '../../files/retention'
import { inBrackets } from '../../report/lines'
import type { Logger } from '../../report/listeners'
import { readLimits } from '../../system/limits'
import { takeTurn } from '../../system/turn'
import { dumpAtHeapLimit } from './heap-limit'

export interface EvidenceSettings {
  readonly directory: string
  readonly limitBytes: number
  readonly keep: number | false
  /** `true`: snapshots are written without the contents of strings; `false`: with them. */
  readonly redact: boolean
  /** Longest time for {@link Evidence.write}, ms; then the worker ends in any case. */
  readonly deadlineMs: number
  /** Maximum number of dumps at V8's heap limit per interval; the dumps made so far are counted by their files. */
  readonly budget: Budget
  readonly report: Logger
  /** Whether a line is written to stderr at V8's heap limit, where no logger can be called. */
  readonly writesLine: boolean
}

/**
 * Writes the dump of a worker that is replaced for its memory: a sampling heap profile and a heap snapshot, by the same
 * methods as the monitor's. To be created when the worker starts, because the sampling profile covers only later
 * allocations.
 */
export class Evidence {
  readonly #settings: EvidenceSettings
  readonly #capturer: Capturer

  constructor(settings: EvidenceSettings) {
    this.#settings = settings
    const sampler = createHeapSampler(openLocalSession)
    this.#capturer = createCapturer(settings, sampler)
    dumpAtHeapLimit({ ...settings, sampler })
  }

  /**
   * Writes the dump. If a monitor in this worker is writing a dump, first waits for its end; if that is a memory dump, writes
   * no second one. Never rejects: the worker ends afterwards in any case.
   *
   * @param reason - Why the worker is replaced.
   * @returns Whether a dump was begun, which counts for the budget even if it failed.
   */
  async write(reason: string): Promise<boolean> {
    const gate = new Gate(processRegistry().gate)
    while (!gate.enter('memory')) {
      if (gate.heldFor === 'memory') {
        await this.#leaveItToTheMonitor(gate)
        return false
      }
      await retryLater()
    }
    const isBegun = await this.#writeFiles(reason)
    gate.leave()
    return isBegun
  }

  async #leaveItToTheMonitor(gate: Gate): Promise<void> {
    this.#settings.report.info(
      `the monitor in ${who()} is already writing a memory dump, so the cluster writes none`,
    )
    while (gate.heldFor === 'memory') await retryLater()
  }

  /** Writes the files of the dump, and logs their paths, or why there are none. Returns whether the dump was begun. */
  async #writeFiles(reason: string): Promise<boolean> {
    const { directory, limitBytes, keep, deadlineMs, report } = this.#settings
    let isBegun = false
    try {
      const reading = process.memoryUsage.rss()
      const job = describeJob(directory, { cluster: reason, threshold: limitBytes, reading })
      const { captured, refusal } = await dumpOnce<never>({
        capturer: this.#capturer,
        directory,
        early: new AbortController().signal,
        // At most half of the deadline is spent on waiting until other processes have written their dumps.
        takeTurn: (early) => takeTurn({ longestMs: deadlineMs / 2, early }),
        begin: () => {
          isBegun = true
          return job
        },
      })
      if (refusal) report.warn(refused(refusal))
      if (!captured) return isBegun
      if (captured.failure) report.error(failed(captured.failure))
      const files = captured.artefacts.map(({ file }) => file).join(' and ')
      report.info(
        `the memory dump of ${who()} is in ${files} (the worker was paused for ${Math.round(captured.pauseMs)} ms)`,
      )
      // Delete only old dumps of the same kind: CPU profiles, for example, are a monitor's, which has its own `keep`.
      const made = captured.artefacts[0].file
      await deleteExpired(directory, job.sidecar.where.host, { keep, made, only: 'memory' })
    } catch (error) {
      report.error(failed(error))
    }
    return isBegun
  }
}

const retryLater = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, GATE_RETRY_MS))
const who = (): string => `the worker with pid ${process.pid}`
const refused = ({ skip, numbers }: Refusal): string =>
  `no heap snapshot of ${who()}: ` +
  (skip === 'busy'
    ? 'other processes under the same memory limit were still writing theirs'
    : `too little ${skip}${inBrackets(numbers)}`)
const failed = (error: unknown): string => `no heap snapshot of ${who()}: ${messageOf(error)}`

function createCapturer({ report, redact }: EvidenceSettings, sampler: HeapSampler): Capturer {
  const engines = resolveEngines('auto', ['memory'])
  return createHeapCapturer({
    redact,
    mainThread: createDirectMainThread(createOrders(engines, undefined, sampler)),
    engine: engines.memory,
    probe: createRoomProbe(),
    observer: {
      childAtWork: () => undefined,
      orderLate: (order) =>
        report.warn(
          `the main thread of ${who()} has not responded to the call ${order}: the heap snapshot waits for it`,
        ),
      samplingWasStopped: () =>
        report.info(`other code stopped the sampling heap profiler of ${who()}; it has been started again`),
      samplingFailed: (error) => report.warn(`no sampling heap profile of ${who()}: ${error.message}`),
    },
    sampling: true,
  })
}

function describeJob(
  directory: string,
  details: Job['sidecar']['why']['details'] & { reading: number },
): Job {
  const startedAtMs = epochMs()
  const startedAt = new Date(startedAtMs).toISOString()
  const { pid, version: node, versions } = process
  const limits = { ...readLimits() }
  return {
    directory,
    baseName: artefactBaseName({ kind: 'memory', rule: 'threshold', pid, startedAtMs }),
    durationMs: 0,
    sidecar: {
      why: {
        kind: 'memory',
        rule: 'threshold',
        details,
        readings: [{ at: startedAt, value: details.reading }],
      },
      where: { node, v8: versions.v8, pid, host: hostname(), limits, directory, startedAt },
    },
  }
}
