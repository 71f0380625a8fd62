import { constants } from 'node:os'
import { getHeapStatistics, writeHeapSnapshot } from 'node:v8'
import { hasOwn, messageOf, ownOnly, parseJson, toJson } from '../../base/globals'
import { monotonicMs } from '../../base/time'
import { overwrite, writeByPath } from '../../files/artefact'
import { isPartialThere, type MarkedFile } from '../../files/partial'
import { forgetOptimizedCodeHere } from '../cpu/forget-optimized-code'
import { type Engines, loadPackage } from '../engines'
import { holdingsOf } from '../heap/allocation-sites'
import { loadForkHelper } from '../heap/fork/helper'
import { writeDumpInChild } from '../heap/fork/job'
import { createHeapSampler, type HeapSampler } from '../heap/sampler'
import { openLocalSession, whyNoInspector } from './local-session'
import type { HeapStatistics, OrderName, Orders } from './orders'

/** The implementation of the orders on the main thread: plain synchronous functions. */
export type OrderTable = {
  readonly [Name in OrderName]: (input: Orders[Name]['input']) => Orders[Name]['output']
}

/** The part of heapdump that is used here. */
interface HeapdumpPackage {
  writeSnapshot(file: string, done: (error: Error | null) => void): unknown
}

/** The part of v8-profiler-next that is used here. */
interface ProfilerPackage {
  setGenerateType(type: 1): void
  setSamplingInterval(intervalUs: number): void
  startProfiling(title: string, recordSamples: boolean): void
  stopProfiling(title: string): { delete(): void } | undefined
}

/**
 * Builds the orders for this thread. Nothing is loaded and nothing started until an order asks for it.
 *
 * @param signal - The signal that triggers dumps, which a forked child ignores.
 */
export function createOrders(
  engines: Engines,
  signal?: NodeJS.Signals,
  sampler: HeapSampler = createHeapSampler(openLocalSession),
): OrderTable {
  return {
    heapStatistics: readHeapStatistics,
    loadPackage: ({ kind }) => {
      enginePackage(engines, kind)
      return {}
    },
    heapSnapshot: ({ way, target }) =>
      timed(() =>
        writeByPath(target, (path) =>
          way === 'heapdump' ? writeWithHeapdump(engines, path) : void writeHeapSnapshot(path),
        ),
      ),
    startSampling: ({ intervalBytes }) => ({ sampler: sampler.start(intervalBytes) }),
    samplingProfile: ({ target }) => {
      let [samples, writtenBytes] = [0, 0]
      const { pauseMs } = timed(() => {
        const profile = sampler.read()
        samples = profile.samples
        if (samples > 0) writtenBytes = overwrite(target, profile.json)
      })
      return { pauseMs, samples, writtenBytes, sampler: sampler.state() }
    },
    allocationSites: () => {
      const profile = sampler.profile()
      return profile === undefined ? {} : { sampled: { run: sampler.run(), holdings: holdingsOf(profile) } }
    },
    stopSampling: () => {
      sampler.stop()
      return {}
    },
    forkHeapDump: (input) => forkHeapDump(input, sampler, signal),
    forgetOptimizedCode: () => timed(forgetOptimizedCode),
    startPackageProfile: ({ title, samplingIntervalUs }) =>
      timed(() => startProfile(profilerPackage(engines), title, samplingIntervalUs)),
    stopPackageProfile: ({ title, target }) => {
      let writtenBytes = 0
      const { pauseMs } = timed(() => {
        writtenBytes = stopProfile(profilerPackage(engines), title, target)
      })
      return { pauseMs, writtenBytes }
    },
  }
}

/** Wraps the orders so that each is carried out within a call of `during`. */
export function ordersDuring(
  orders: OrderTable,
  during: <Output>(order: () => Output) => Output,
): OrderTable {
  const wrapped = Object.entries(orders).map(([name, order]) => {
    const run = order as (input: unknown) => unknown
    return [name, (input: object) => during(() => run(ownOnly(input)))]
  })
  return Object.fromEntries(wrapped) as OrderTable
}

/**
 * Runs one order whose name and input came as text from another thread. Refuses in a forked child: an order that was
 * queued before the fork is served there as well as in the application that it is meant for.
 *
 * @returns JSON: `{"output": …}`, or `{"error": …}` with the message of the order's error. Never throws.
 */
export function runOrder(orders: OrderTable, name: string, inputJson: string): string {
  try {
    const loaded = loadForkHelper()
    if ('helper' in loaded && loaded.helper.isForkedChild?.() === true)
      throw new Error('this is a forked child')
    if (!hasOwn(orders, name)) throw new Error(`no such order: ${name}`)
    const run = orders[name as OrderName] as (input: unknown) => unknown
    return toJson({ output: run(parseJson(inputJson)) })
  } catch (error) {
    return toJson({ error: messageOf(error) })
  }
}

/** Forks. The helper ensures that the child does only its job, and ends. */
function forkHeapDump(
  { options, ...job }: Orders['forkHeapDump']['input'],
  sampler: HeapSampler,
  signal: NodeJS.Signals | undefined,
): Orders['forkHeapDump']['output'] {
  const loaded = loadForkHelper()
  if (!('helper' in loaded)) throw new Error(loaded.unavailable)
  const startedAtMs = monotonicMs()
  // The dispatcher may have abandoned this order. Then a child would work for minutes for nothing.
  if (!isPartialThere(job.snapshot))
    return { gone: 'the target file is gone (the request was abandoned, or the file was deleted)' }
  const checkMs = monotonicMs() - startedAtMs
  const ignoredSignal = signal === undefined ? 0 : constants.signals[signal]
  const { pid, resultDescriptor, pauseMs } = loaded.helper.fork(
    { ...options, ignoredSignal },
    (forkPauseMs) => writeDumpInChild(ownOnly(job), sampler, () => checkMs + forkPauseMs()),
  )
  return { pid, resultDescriptor, pauseMs: checkMs + pauseMs }
}

function readHeapStatistics(): HeapStatistics {
  return { usedBytes: getHeapStatistics().used_heap_size }
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
 * setSamplingInterval throws while the package records any profile. It comes first, so that an application that records
 * with the package keeps its settings, and this dump is made without the package.
 */
function startProfile(profiler: ProfilerPackage, title: string, samplingIntervalUs: number): void {
  profiler.setSamplingInterval(samplingIntervalUs)
  profiler.startProfiling(title, true)
}

/** Does nothing while the application collects coverage, because it would end the collection. A profile by the package does not. */
function forgetOptimizedCode(): void {
  if (process.env['NODE_V8_COVERAGE'] !== undefined || whyNoInspector() !== undefined) return
  forgetOptimizedCodeHere(openLocalSession)
}

/**
 * The format is chosen when a profile is read: 1 is the one that DevTools opens today.
 *
 * @returns Bytes written.
 */
function stopProfile(profiler: ProfilerPackage, title: string, target: MarkedFile | undefined): number {
  profiler.setGenerateType(1)
  const profile = profiler.stopProfiling(title)
  if (!profile) throw new Error(`no CPU profile named ${title} is running`)
  try {
    return target === undefined ? 0 : overwrite(target, toJson(profile))
  } finally {
    profile.delete()
  }
}

function enginePackage(engines: Engines, kind: 'cpu' | 'memory'): unknown {
  const resolved = ownOnly(engines[kind]).package
  if (!resolved) throw new Error(`no package for ${kind} dumps`)
  return loadPackage(resolved)
}

function timed(work: () => void): { pauseMs: number } {
  const startedAt = monotonicMs()
  work()
  return { pauseMs: monotonicMs() - startedAt }
}
