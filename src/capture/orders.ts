import { messageOf } from '../core/message-of'
import { createRequire } from 'node:module'
import { existsSync } from 'node:fs'
import type inspector from 'node:inspector'
import { getHeapStatistics, writeHeapSnapshot } from 'node:v8'
import { isPartialThere } from '../files/partial'
import { runSync } from '../files/step'
import type { Engines } from './engines'
import type { HeapStatistics, OrderName, Orders } from './main-thread'
import { loadPackage } from './optional-package'
import { forgetOptimizedCodeHere } from './forget-optimized-code'
import { holdingsOf } from './allocation-sites'
import { createHeapSampler, type HeapSampler } from './heap-sampler'
import { loadForkHelper } from './fork-helper'
import { writeDumpInChild } from './fork-job'
import { overwrite } from './overwrite'
import { monotonicMs } from '../time/clock'

/** As they were when this module was loaded: the application may replace them, and orders come at any time. */
const parse = JSON.parse.bind(JSON)
const stringify = JSON.stringify.bind(JSON)

/** The orders as the main thread carries them out: plain synchronous functions. */
export type OrderTable = {
  readonly [Name in OrderName]: (input: Orders[Name]['input']) => Orders[Name]['output']
}

/** What is used of heapdump. */
interface HeapdumpPackage {
  writeSnapshot(file: string, done: (error: Error | null) => void): unknown
}

/** What is used of v8-profiler-next. */
interface ProfilerPackage {
  setGenerateType(type: 1): void
  setSamplingInterval(intervalUs: number): void
  startProfiling(title: string, recordSamples: boolean): void
  stopProfiling(title: string): { delete(): void } | undefined
}

/** Builds the orders for this thread. Nothing is loaded and nothing started until an order asks for it. */
export function createOrders(engines: Engines): OrderTable {
  const sampler = createHeapSampler(openLocalSession)
  /** Title of the package's profile that runs. */
  let recording: string | undefined
  return {
    ping: () => ({}),
    heapStatistics: readHeapStatistics,
    loadPackage: ({ kind }) => {
      enginePackage(engines, kind)
      return {}
    },
    heapSnapshot: ({ way, file }) =>
      timed(() => {
        // Both create what is not there: of an order that was given up meanwhile a file would be left that nobody knows.
        if (!existsSync(file)) throw gone()
        return way === 'heapdump' ? writeWithHeapdump(engines, file) : void writeHeapSnapshot(file)
      }),
    startSampling: ({ intervalBytes }) => ({ sampler: sampler.start(intervalBytes) }),
    samplingProfile: ({ file }) => {
      let read = { samples: 0, json: '' }
      const { pauseMs } = timed(() => {
        read = sampler.read()
        if (read.samples > 0) overwrite(file, read.json)
      })
      return { pauseMs, samples: read.samples, sampler: sampler.state() }
    },
    allocationSites: () => {
      const profile = sampler.profile()
      return profile === undefined ? {} : { holdings: holdingsOf(profile) }
    },
    stopSampling: () => {
      sampler.stop()
      return {}
    },
    forkHeapDump: (input) => forkHeapDump(input, sampler),
    startPackageProfile: ({ title, samplingIntervalUs }) =>
      timed(() => {
        startProfile(profilerPackage(engines), title, samplingIntervalUs)
        recording = title
      }),
    stopPackageProfile: ({ title, file }) =>
      timed(() => {
        recording = undefined
        stopProfile(profilerPackage(engines), title, file)
      }),
    dropPackageProfile: () => {
      const title = recording
      recording = undefined
      if (title !== undefined) stopProfile(profilerPackage(engines), title, undefined)
      return {}
    },
  }
}

/** The same orders, each carried out within a call of `during`. */
export function ordersDuring(
  orders: OrderTable,
  during: <Output>(order: () => Output) => Output,
): OrderTable {
  const told = Object.entries(orders).map(([name, order]) => {
    const run = order as (input: unknown) => unknown
    return [name, (input: unknown) => during(() => run(input))]
  })
  return Object.fromEntries(told) as OrderTable
}

/**
 * Runs one order whose name and input came as text from another thread.
 *
 * @returns JSON: `{"output": …}`, or `{"error": …}` with the message of what the order threw. Never throws.
 */
export function runOrder(orders: OrderTable, name: string, inputJson: string): string {
  try {
    if (!Object.hasOwn(orders, name)) throw new Error(`no such order: ${name}`)
    const run = orders[name as OrderName] as (input: unknown) => unknown
    return stringify({ output: run(parse(inputJson)) })
  } catch (error) {
    return stringify({ error: messageOf(error) })
  }
}

/** Loaded late: a Node built without the inspector has no such module, and most processes never need it. */
export function openLocalSession(): inspector.Session {
  const { Session } = createRequire(__filename)('node:inspector') as typeof inspector
  const session = new Session()
  session.connect()
  return session
}

/** The helper itself sees to it that the child does nothing but its job, and ends. */
function forkHeapDump(
  { options, ...job }: Orders['forkHeapDump']['input'],
  sampler: HeapSampler,
): Orders['forkHeapDump']['output'] {
  const loaded = loadForkHelper()
  if (!('helper' in loaded)) throw new Error(loaded.unavailable)
  const startedAtMs = monotonicMs()
  // Carried out late, for nobody: the child would write for minutes into a file that nobody knows.
  if (!runSync(isPartialThere(job.snapshot))) throw gone()
  const lookedForMs = monotonicMs() - startedAtMs
  const { pid, resultDescriptor, pauseMs } = loaded.helper.fork(options, (forkPauseMs) =>
    writeDumpInChild(job, sampler, () => lookedForMs + forkPauseMs()),
  )
  return { pid, resultDescriptor, pauseMs: lookedForMs + pauseMs }
}

function gone(): Error {
  return new Error('its file has gone: the order was given up, or somebody has removed it')
}

function readHeapStatistics(): HeapStatistics {
  const heap = getHeapStatistics()
  return {
    usedBytes: heap.used_heap_size,
    totalBytes: heap.total_heap_size,
    limitBytes: heap.heap_size_limit,
    externalBytes: heap.external_memory,
  }
}

function writeWithHeapdump(engines: Engines, file: string): void {
  const heapdump = enginePackage(engines, 'memory') as HeapdumpPackage
  let outcome: Error | null = new Error('heapdump did not call back')
  heapdump.writeSnapshot(file, (error) => (outcome = error))
  if (outcome) throw outcome
}

function profilerPackage(engines: Engines): ProfilerPackage {
  return enginePackage(engines, 'cpu') as ProfilerPackage
}

/**
 * setSamplingInterval throws while any profile of this package runs. It comes first, so that an application that is
 * recording with the package itself keeps its own settings, and our capture goes another way.
 */
function startProfile(profiler: ProfilerPackage, title: string, samplingIntervalUs: number): void {
  profiler.setSamplingInterval(samplingIntervalUs)
  profiler.startProfiling(title, true)
  // It would end coverage that is being collected, which this way of profiling leaves whole otherwise.
  if (process.env['NODE_V8_COVERAGE'] === undefined) forgetOptimizedCodeHere(openLocalSession)
}

/** The format is chosen when a profile is read: 1 is the one that DevTools reads today. */
function stopProfile(profiler: ProfilerPackage, title: string, file: string | undefined): void {
  profiler.setGenerateType(1)
  const profile = profiler.stopProfiling(title)
  if (!profile) throw new Error(`no CPU profile named ${title} is running`)
  try {
    if (file !== undefined) overwrite(file, JSON.stringify(profile))
  } finally {
    profile.delete()
  }
}

function enginePackage(engines: Engines, kind: 'cpu' | 'memory'): unknown {
  const resolved = engines[kind].package
  if (!resolved) throw new Error(`no package for ${kind} dumps`)
  return loadPackage(resolved)
}

function timed(work: () => void): { pauseMs: number } {
  const startedAt = monotonicMs()
  work()
  return { pauseMs: monotonicMs() - startedAt }
}
