import { readlinkSync } from 'node:fs'

import { loadOwnPidusage, type ProcfileUsage } from './own-pidusage'
import { pageSizeBytes } from './page-size'

/** What one process uses at the time of the reading. */
export interface ProcessUsage {
  /** CPU time of the whole process, all threads, since it started, ms. */
  readonly cpuMs: number
  /** Resident set size, bytes. */
  readonly rssBytes: number
}

/** Reads what processes use, at once and from any thread. It keeps nothing between two readings. */
export interface UsageReader {
  readonly way: 'pidusage' | 'node'
  /** Why this way was chosen, for the line at the start. */
  readonly reason: string
  /**
   * Reads the own process.
   *
   * @throws When the operating system gives no answer.
   */
  own(): ProcessUsage
  /**
   * Reads other processes, all in one call. A process that is gone is absent from the answer.
   *
   * @throws When the operating system gives no answer, or when this way can read the own process only.
   */
  of(pids: readonly number[]): Map<number, ProcessUsage>
}

/**
 * Chooses how to read what processes use: the one place where this is decided.
 *
 * On Linux pidusage reads `/proc`, of any process. Elsewhere it would start a program for every reading, and without a
 * `/proc` of our own it has nothing to read: then Node's counters tell of the own process, and of no other.
 *
 * @param platform - As `process.platform`.
 */
export function chooseUsageReader(platform: NodeJS.Platform = process.platform): UsageReader {
  if (platform !== 'linux') {
    return nodeCounters(`pidusage would start a program for each reading on ${platform}`)
  }
  try {
    return procfiles()
  } catch (error) {
    return nodeCounters(`pidusage cannot read /proc here: ${(error as Error).message}`)
  }
}

function procfiles(): UsageReader {
  assertOwnProc()
  const read = loadOwnPidusage()
  const bytesPerPage = pageSizeBytes(process.memoryUsage.rss(), ownOf(read([process.pid])).residentPages)
  if (bytesPerPage === undefined) throw new Error('its resident size differs from that of Node')

  const toUsage = ({ cpuMs, residentPages }: ProcfileUsage): ProcessUsage => ({
    cpuMs,
    rssBytes: residentPages * bytesPerPage,
  })
  return {
    way: 'pidusage',
    reason: '/proc can be read',
    own: () => toUsage(ownOf(read([process.pid]))),
    of: (pids) => new Map([...read(pids)].map(([pid, usage]) => [pid, toUsage(usage)])),
  }
}

/** A `/proc` of another PID namespace shows a stranger under our pid. */
function assertOwnProc(): void {
  const self = readlinkSync('/proc/self')
  if (self !== String(process.pid)) throw new Error(`it shows process ${process.pid} as ${self}`)
}

function ownOf(usage: Map<number, ProcfileUsage>): ProcfileUsage {
  const own = usage.get(process.pid)
  if (own === undefined) throw new Error(`process ${process.pid} is not in /proc`)
  return own
}

function nodeCounters(reason: string): UsageReader {
  return {
    way: 'node',
    reason,
    own() {
      const { user, system } = process.cpuUsage()
      return { cpuMs: (user + system) / 1000, rssBytes: process.memoryUsage.rss() }
    },
    of() {
      throw new Error(`other processes cannot be read: ${reason}`)
    },
  }
}
