import { judgeMemory, snapshotNeedBytes } from '../room'
import { openArtefact } from '../../files/artefact'
import type { Artefact } from '../../files/sidecar'
import type { Job, PassedOver } from '../capture'
import type { Engine } from '../engines'
import type { HeapRung } from './rung'
import { SAMPLING_WAY, type HeapSampling } from './sampling'
import type { HeapStatistics, MainThread } from '../main-thread/orders'
import { waitPatiently, type Patience } from '../main-thread/patient'
import { monotonicMs } from '../../base/clock'
import { owns } from '../../base/globals'
import { messageOf } from '../../base/error-text'

/** V8 needs 55-110 ms per MB of heap on a quiet machine; a snapshot slower than this is given up. */
const DEADLINE_MS_PER_MB = 1000

/** The parts of in-place snapshots. */
export interface HeapInPlaceParts {
  readonly mainThread: MainThread
  /** `engines.memory` of `resolveEngines`. */
  readonly engine: Engine
  readonly sampling: HeapSampling | undefined
  readonly patience: Patience
  readonly nodeMajor: number
}

type InPlaceWay = 'heapdump' | 'v8'

/**
 * Heap snapshots that stop the main thread until they are written: by the heapdump package where it is installed and loads,
 * else by V8. Slow, and it needs much memory, so only for heaps that fit.
 */
export function createInPlaceRung(parts: HeapInPlaceParts): HeapRung {
  return {
    ways: parts.engine.package ? ['heapdump', 'v8'] : ['v8'],
    fit: (heap, room) => judgeMemory(heap.usedBytes, parts.nodeMajor, room),
    async take(job, heap, passedOverBefore) {
      const passedOver = [...passedOverBefore]
      const profile = await parts.sampling?.capture(job, passedOver)
      if (profile && owns(profile, 'absent'))
        passedOver.push({ way: SAMPLING_WAY, why: profile.absent.message })
      const beside = profile && owns(profile, 'artefact') ? profile : undefined
      try {
        const way = await chooseWay(parts, passedOver)
        const { artefact, pauseMs } = await writeSnapshot(parts, way, job, heap, passedOver)
        const artefacts = beside ? ([artefact, beside.artefact] as const) : ([artefact] as const)
        return { artefacts, way, passedOver, pauseMs: pauseMs + (beside?.pauseMs ?? 0) }
      } catch (error) {
        if (!beside) throw error
        const failure = error as Error
        const kept = { artefacts: [beside.artefact] as const, way: SAMPLING_WAY, pauseMs: beside.pauseMs }
        return { ...kept, passedOver: [...passedOver, { way: 'v8', why: failure.message }], failure }
      }
    },
  }
}

/**
 * Loading decides between the two; a snapshot that fails is not tried again the other way, for each try stops the main
 * thread for seconds.
 */
async function chooseWay(
  { mainThread, engine, patience }: HeapInPlaceParts,
  passedOver: PassedOver[],
): Promise<InPlaceWay> {
  if (!engine.package) return 'v8'
  try {
    await waitPatiently('loadPackage', mainThread.order('loadPackage', { kind: 'memory' }), patience)
    return 'heapdump'
  } catch (error) {
    passedOver.push({ way: engine.package.name, why: messageOf(error) })
    return 'v8'
  }
}

async function writeSnapshot(
  { mainThread, patience, nodeMajor }: HeapInPlaceParts,
  way: InPlaceWay,
  job: Job,
  heap: HeapStatistics,
  passedOver: readonly PassedOver[],
): Promise<{ artefact: Artefact; pauseMs: number }> {
  const startedAtMs = monotonicMs()
  const open = openArtefact(job.directory, `${job.baseName}.heapsnapshot`, job.sidecar)
  try {
    const writing = mainThread.order('heapSnapshot', { way, target: open.target })
    const { pauseMs } = await waitPatiently('heapSnapshot', writing, forSnapshot(patience, heap))
    const artefact = await open.publish({
      way,
      passedOver,
      pauseMs,
      durationMs: monotonicMs() - startedAtMs,
      notes: {
        heapUsedBytes: heap.usedBytes,
        estimatedNeedBytes: snapshotNeedBytes(heap.usedBytes, nodeMajor),
      },
    })
    return { artefact, pauseMs }
  } catch (error) {
    open.abandon()
    throw error
  }
}

/** A snapshot that the main thread has accepted takes long by nature, so it is never reported as late. */
function forSnapshot(patience: Patience, heap: HeapStatistics): Patience {
  const extraMs = (heap.usedBytes / 1024 / 1024) * DEADLINE_MS_PER_MB
  return { ...patience, deadlineMs: patience.deadlineMs + extraMs, onLate: () => {} }
}
