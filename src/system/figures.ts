import { getHeapStatistics } from 'node:v8'
import { monotonicMs } from '../base/clock'

/** What a thread knows about its own heap, bytes, and when it was read. */
export interface HeapFigures {
  /** Monotonic clock, ms. */
  readonly atMs: number
  readonly heapUsed: number
  readonly heapTotal: number
  readonly heapLimit: number
  readonly external: number
  readonly arrayBuffers: number
  /** CPU time of the thread, ms; NaN where Node does not offer it (before 22.19 and 24.6). */
  readonly threadCpuMs: number
}

/** What Node added later: https://nodejs.org/api/process.html#processthreadcpuusagepreviousvalue */
type ProcessOfToday = NodeJS.Process & { readonly threadCpuUsage?: () => NodeJS.CpuUsage }

/** CPU time of the calling thread, ms; NaN where Node does not offer it. */
export function readThreadCpuMs(): number {
  const usage = (process as ProcessOfToday).threadCpuUsage?.()
  return usage ? (usage.user + usage.system) / 1000 : NaN
}

const memoryUsage = process.memoryUsage.bind(process)

/** Reads the figures of the calling thread: 20 µs. */
export function readHeapFigures(): HeapFigures {
  const { heapUsed, heapTotal, external, arrayBuffers } = memoryUsage()
  return {
    atMs: monotonicMs(),
    heapUsed,
    heapTotal,
    heapLimit: getHeapStatistics().heap_size_limit,
    external,
    arrayBuffers,
    // Where /proc has the time of each thread, nothing is asked here.
    threadCpuMs: process.platform === 'linux' ? NaN : readThreadCpuMs(),
  }
}
