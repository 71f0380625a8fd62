import { messageOf } from '../core/message-of'
import { hostname } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import type { CaptureObserver, Job } from '../capture/capture'
import { createDirectMainThread } from '../capture/direct-main-thread'
import { resolveEngines } from '../capture/engines'
import { createHeapCapturer } from '../capture/heap-capturer'
import { createOrders } from '../capture/orders'
import { createRoomProbe } from '../capture/room-probe'
import { artefactBaseName } from '../core/names'
import { GATE_RETRY_MS } from '../dispatch/dispatcher'
import { Gate } from '../dispatch/gate'
import { processRegistry } from '../dispatch/process-registry'
import { prepareDirectory } from '../files/directory'
import { deleteExpired } from '../files/retention'
import { DEFAULT_KEEP, type Logger } from '../options'
import { readLimits } from '../sample/limits'

export interface EvidenceOrder {
  readonly directory: string
  readonly limitBytes: number
  /** Why the worker was replaced. */
  readonly reason: string
  readonly report: Logger
}

/**
 * Writes a heap snapshot of this worker by the monitor's own ladder, unless a monitor inside the worker is writing one: then
 * that is waited for, and is enough. Never rejects; whatever becomes of it, the worker goes on to leave.
 */
export async function writeEvidence(order: EvidenceOrder): Promise<void> {
  const gate = new Gate(processRegistry().gate)
  if (!gate.enter()) {
    while (gate.isHeld) await pause(GATE_RETRY_MS)
    return
  }
  await writeSnapshot(order)
  gate.leave()
}

/** Writes one line as well: of the file, or of what was in the way. */
async function writeSnapshot({ directory, limitBytes, reason, report }: EvidenceOrder): Promise<void> {
  const who = `the worker with pid ${process.pid}`
  try {
    const rssBytes = process.memoryUsage.rss()
    const directoryVerdict = await prepareDirectory(directory)
    if (!directoryVerdict.writable) throw new Error(directoryVerdict.reason)
    const capturer = createCapturer(who, report)
    const plan = await capturer.plan(directory)
    if (!('take' in plan)) {
      report.warn(`no heap snapshot of ${who}: too little ${plan.skip}, ${JSON.stringify(plan.numbers)}`)
      return
    }
    const job = describeJob(directory, { cluster: reason, threshold: limitBytes, reading: rssBytes })
    const { artefacts, pauseMs } = await plan.take(job, new AbortController().signal)
    report.info(`heap snapshot of ${who}: ${artefacts[0].file} (paused ${Math.round(pauseMs)} ms)`)
    await deleteExpired(directory, job.sidecar.where.host, DEFAULT_KEEP)
  } catch (error) {
    report.error(`no heap snapshot of ${who}: ${messageOf(error)}`)
  }
}

function createCapturer(who: string, report: Logger) {
  const engines = resolveEngines('auto', ['memory'])
  const observer: CaptureObserver = {
    orderLate: (order) => report.warn(`the heap snapshot of ${who} waits for ${order}`),
    samplingWasStopped: () => undefined,
    samplingFailed: () => undefined,
  }
  return createHeapCapturer({
    mainThread: createDirectMainThread(createOrders(engines)),
    engine: engines.memory,
    probe: createRoomProbe(),
    observer,
    // It would have had to run since the start, and the monitor does that where it is wanted.
    sampling: false,
    nodeMajor: Number.parseInt(process.versions.node, 10),
  })
}

function describeJob(
  directory: string,
  details: Job['sidecar']['why']['details'] & { reading: number },
): Job {
  const startedAtMs = Date.now()
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
