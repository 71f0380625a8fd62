import { constants } from 'node:os'
import { getHeapStatistics, writeHeapSnapshot } from 'node:v8'
import { hasOwn, messageOf, ownOnly, parseJson, toJson } from '../../base/globals'
import { monotonicMs } from '../../base/time'
import { overwrite, writeByPath } from '../../files/artefact'
import type { MarkedFile } from '../../files/disk'
import { isPartialThere } from '../../files/partial'
import { forgetOptimizedCodeHere } from '../cpu/forget-optimized-code'
import { type Engines, loadPackage } from '../engines'
import { holdingsOf } from '../heap/allocation-sites'
import { loadForkHelper } from '../heap/fork/helper'
import { writeDumpInChild } from '../heap/fork/job'
import { createHeapSampler, type HeapSampler } from '../heap/sampler'
import { openLocalSession, whyNoInspector } from './local-session'
import type { HeapStatistics, OrderName, Orders } from './orders'

/** For each order (request to the main thread), the synchronous function that carries it out on the main thread. */
export type OrderTable = {
  readonly [Name in OrderName]: (input: Orders[Name]['input']) => Orders[Name]['output']
}

/** The functions of the package heapdump that are used here. */
interface HeapdumpPackage {
  writeSnapshot(file: string, done: (error: Error | null) => void): unknown
}

/** The functions of the package v8-profiler-next that are used here. */
interface ProfilerPackage {
  setGenerateType(type: 1): void
  setSamplingInterval(intervalUs: number): void
  startProfiling(title: string, recordSamples: boolean): void
  stopProfiling(title: string): { delete(): void } | undefined
}

/**
 * Builds the functions that carry out orders (requests) on the main thread. A package is loaded, and a profiler started,
 * only when an order needs it.
 *
 * @param signal - The signal that triggers dumps: a forked child ignores it.
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

/** Wraps the function of each order (request): `during` then calls it, and so can show other threads when an order runs. */
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
 * Carries out one order (request) that another thread sent, with its name and input as text. A forked child refuses: an
 * order queued before the fork would run in the child and in the application, and only the application must run it.
 *
 * @returns JSON: `{"output": …}`, or `{"error": …}` with the message of the order's error. Never throws.
 */
export function runOrder(orders: OrderTable, name: string, inputJson: string): string {
  try {
    const loaded = loadForkHelper()
    if ('helper' in loaded && loaded.helper.isForkedChild?.() === true)
      throw new Error('a forked child does not carry out requests to the application')
    if (!hasOwn(orders, name)) throw new Error(`unknown request to the main thread: ${name}`)
    const run = orders[name as OrderName] as (input: unknown) => unknown
    return toJson({ output: run(parseJson(inputJson)) })
  } catch (error) {
    return toJson({ error: messageOf(error) })
  }
}

/** Forks this process for a heap dump. In the child, `fork` runs only the dump and then ends the process. */
function forkHeapDump(
  { options, ...job }: Orders['forkHeapDump']['input'],
  sampler: HeapSampler,
  signal: NodeJS.Signals | undefined,
): Orders['forkHeapDump']['output'] {
  const loaded = loadForkHelper()
  if (!('helper' in loaded)) throw new Error(loaded.unavailable)
  const startedAtMs = monotonicMs()
  // The file is deleted when this order (request) is abandoned. A child would then work for minutes for nothing.
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
  let outcome: Error | null = new Error('heapdump.writeSnapshot returned without calling its callback')
  heapdump.writeSnapshot(file, (error) => (outcome = error))
  if (outcome) throw outcome
}

function profilerPackage(engines: Engines): ProfilerPackage {
  return enginePackage(engines, 'cpu') as ProfilerPackage
}

/**
 * Starts a CPU profile. setSamplingInterval comes first because it throws while the package records any profile: so an
 * application that is recording with the package keeps its settings, and this dump is made without the package.
 */
function startProfile(profiler: ProfilerPackage, title: string, samplingIntervalUs: number): void {
  profiler.setSamplingInterval(samplingIntervalUs)
  profiler.startProfiling(title, true)
}

/** Makes V8 discard optimized code. Does nothing without an inspector, or with NODE_V8_COVERAGE, whose coverage would be lost. */
function forgetOptimizedCode(): void {
  if (process.env['NODE_V8_COVERAGE'] !== undefined || whyNoInspector() !== undefined) return
  forgetOptimizedCodeHere(openLocalSession)
}

/**
 * Stops a CPU profile and writes it to the target file; without a target it is discarded. The generate type 1 makes the
 * format that DevTools opens today.
 *
 * @returns Number of bytes written.
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
