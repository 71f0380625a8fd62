import { messageOf, owns } from '../../base/globals'
import { monotonicMs } from '../../base/time'
import { openArtefact } from '../../files/artefact'
import type { Artefact } from '../../files/sidecar'
import type { PassedOver } from '../capture'
import type { Engine } from '../engines'
import { ORDER_DEADLINE_MS, type PatientMainThread } from '../main-thread/patient'
import { judgeMemory, snapshotNeedBytes } from '../room'
import { NODE_MAJOR } from '../room-probe'
import { openWhole, type WholeSnapshot } from './redacted'
import { type HeapDump, type HeapRung, passOver } from './rung'
import { type HeapSampling, SAMPLING_WAY } from './sampling'

/** Time limit of a snapshot, ms per MB of heap, on top of {@link ORDER_DEADLINE_MS}. V8 needs 55-110 on a quiet machine. */
const DEADLINE_MS_PER_MB = 1000

/** Returns the time after which a snapshot of a heap of `usedBytes`, without a fork, is given up, ms. */
export function snapshotDeadlineMs(usedBytes: number): number {
  return ORDER_DEADLINE_MS + (usedBytes / 1024 / 1024) * DEADLINE_MS_PER_MB
}

/** Parameters of {@link createInPlaceRung}. In-place snapshots are written by the application's own process. */
export interface HeapInPlaceParts {
  readonly mainThread: PatientMainThread
  /** The package for heap snapshots: `engines.memory` of `resolveEngines`. */
  readonly engine: Engine
  readonly sampling: HeapSampling | undefined
  /** Whether the contents of strings are left out of snapshots. @default false */
  readonly redact?: boolean | undefined
}

type InPlaceWay = 'heapdump' | 'v8'

/**
 * Takes heap snapshots while the main thread stands still: with the heapdump package where it is installed and loads,
 * else with V8. Such snapshots are slow and need much memory, so this is done only where the available memory is enough.
 */
export function createInPlaceRung(parts: HeapInPlaceParts): HeapRung {
  return {
    ways: parts.engine.package ? ['heapdump', 'v8'] : ['v8'],
    fit: (heap, room) => judgeMemory(heap.usedBytes, NODE_MAJOR, room),
    async take(dump) {
      const { job, passedOver } = dump
      const profile = await parts.sampling?.capture(job, passedOver)
      if (profile && owns(profile, 'absent')) passOver(passedOver, SAMPLING_WAY, profile.absent.message)
      const beside = profile && owns(profile, 'artefact') ? profile : undefined
      try {
        const way = await chooseWay(parts, passedOver)
        const { artefact, pauseMs } = await writeSnapshot(parts, way, dump)
        const artefacts = beside ? ([artefact, beside.artefact] as const) : ([artefact] as const)
        return { artefacts, way, pauseMs: pauseMs + (beside?.pauseMs ?? 0) }
      } catch (error) {
        if (!beside) throw error
        const failure = error as Error
        passOver(passedOver, 'v8', failure.message)
        return { artefacts: [beside.artefact], way: SAMPLING_WAY, pauseMs: beside.pauseMs, failure }
      }
    },
  }
}

/**
 * Chooses the heapdump package if it loads, else V8. A snapshot that fails is not tried again the other way, because
 * each attempt stops the main thread for seconds.
 */
async function chooseWay(
  { mainThread, engine }: HeapInPlaceParts,
  passedOver: PassedOver[],
): Promise<InPlaceWay> {
  if (!engine.package) return 'v8'
  try {
    await mainThread.order('loadPackage', { kind: 'memory' })
    return 'heapdump'
  } catch (error) {
    passOver(passedOver, engine.package.name, messageOf(error))
    return 'v8'
  }
}

async function writeSnapshot(
  { mainThread, redact }: HeapInPlaceParts,
  way: InPlaceWay,
  { job, heap, passedOver }: HeapDump,
): Promise<{ artefact: Artefact; pauseMs: number }> {
  const startedAtMs = monotonicMs()
  const open = openArtefact(job.directory, `${job.baseName}.heapsnapshot`, job.sidecar)
  const deadlineMs = snapshotDeadlineMs(heap.usedBytes)
  let whole: WholeSnapshot | undefined
  try {
    whole = redact ? openWhole(open) : undefined
    const { target } = whole ?? open
    const { pauseMs } = await mainThread.order('heapSnapshot', { way, target }, { deadlineMs })
    whole?.redact()
    const artefact = await open.publish({
      way,
      passedOver,
      pauseMs,
      durationMs: monotonicMs() - startedAtMs,
      notes: {
        ...(whole && { redacted: true }),
        heapUsedBytes: heap.usedBytes,
        estimatedNeedBytes: snapshotNeedBytes(heap.usedBytes, NODE_MAJOR),
      },
    })
    return { artefact, pauseMs }
  } catch (error) {
    open.abandon()
    throw error
  } finally {
    whole?.close()
  }
}
