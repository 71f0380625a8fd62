import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import type { Session } from 'node:inspector'
import type { Captured, CaptureObserver, Job, Refusal } from '../../../src/capture/capture'
import type { MainThread, OrderName, Orders } from '../../../src/capture/main-thread/orders'
import type { RoomProbe } from '../../../src/capture/room-probe'
import { overwrite } from '../../../src/files/artefact'

const GIB = 1024 ** 3

/** Smallest files that pass for whole ones. */
export const CPU_PROFILE = { nodes: [], startTime: 1, endTime: 2, samples: [], timeDeltas: [] }
export const HEAP_PROFILE = { head: { callFrame: {}, selfSize: 0, children: [] }, samples: [] }
export const SNAPSHOT =
  '{"snapshot":{"meta":{"node_fields":[]}},\n"nodes":[],\n"edges":[],\n"strings":["a",\n"b",\n"c"]}'

type Script = { [Name in OrderName]?: (input: Orders[Name]['input']) => Orders[Name]['output'] }

/** A main thread that answers as scripted: every order succeeds unless the script says otherwise. */
export function scriptedMainThread(script: Script = {}) {
  const log: string[] = []
  const answers: Required<Script> = {
    heapStatistics: () => ({ usedBytes: 1e6 }),
    loadPackage: () => ({}),
    heapSnapshot: ({ target }) => (writeFileSync(target.file, SNAPSHOT), { pauseMs: 5 }),
    startSampling: () => ({ sampler: 'ours' }),
    samplingProfile: ({ target }) => {
      const writtenBytes = overwrite(target, JSON.stringify(HEAP_PROFILE))
      return { pauseMs: 2, samples: 1, writtenBytes, sampler: 'ours' }
    },
    allocationSites: () => ({}),
    stopSampling: () => ({}),
    forkHeapDump: () => {
      throw new Error('this script forks nothing')
    },
    forgetOptimizedCode: () => ({ pauseMs: 6 }),
    startPackageProfile: () => ({ pauseMs: 3 }),
    stopPackageProfile: ({ target }) => {
      const writtenBytes = target ? overwrite(target, JSON.stringify(CPU_PROFILE)) : 0
      return { pauseMs: 4, writtenBytes }
    },
    ...script,
  }
  const mainThread: { -readonly [Key in keyof MainThread]: MainThread[Key] } = {
    turn: () => Promise.resolve(0),
    connect() {
      log.push('connect')
      return scriptedSession(log)
    },
    order(name, input) {
      log.push(name)
      const answer = answers[name] as (given: typeof input) => Orders[typeof name]['output']
      return new Promise((resolve) => resolve(answer(input)))
    },
    orderNow(name, input) {
      log.push(name)
      return (answers[name] as (given: typeof input) => Orders[typeof name]['output'])(input)
    },
  }
  return { mainThread, log }
}

function scriptedSession(log: string[]): Session {
  const post = (method: string, ...rest: unknown[]): void => {
    log.push(method)
    const done = rest.at(-1) as (error: Error | null, answer?: unknown) => void
    done(null, method === 'Profiler.stop' ? { profile: CPU_PROFILE } : {})
  }
  return { post, disconnect: () => log.push('disconnect') } as unknown as Session
}

export function roomy(freeBytes = 100 * GIB, availableBytes = 16 * GIB, isMemory = false): RoomProbe {
  return {
    memory: () => ({ availableBytes, limitBytes: 32 * GIB }),
    isKilledAsOne: () => false,
    disk: () => Promise.resolve({ freeBytes, isMemory }),
  }
}

export function listener(): CaptureObserver & { readonly said: string[] } {
  const said: string[] = []
  return {
    said,
    childAtWork: () => {},
    orderLate: (order) => said.push(`late: ${order}`),
    samplingWasStopped: () => said.push('sampling was stopped'),
    samplingFailed: (error) => said.push(`sampling failed: ${error.message}`),
  }
}

/** Narrows what a plan took to what it captured. */
export function captured(taken: Captured | Refusal): Captured {
  assert.ok('artefacts' in taken, `refused: ${JSON.stringify(taken)}`)
  return taken
}

export function jobIn(directory: string, kind: 'cpu' | 'memory'): Job {
  return {
    directory,
    baseName: `${kind}-1-1`,
    durationMs: 1,
    sidecar: {
      why: { kind, rule: 'manual', details: {}, readings: [] },
      where: { node: '', v8: '', pid: 1, host: '', directory, startedAt: '', limits: {} },
    },
  }
}
