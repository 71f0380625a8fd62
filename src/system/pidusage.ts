import { closeSync, existsSync, openSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { isMainThread } from 'node:worker_threads'

import type pidusage from 'pidusage'

import { firstLineOf } from '../base/error-text'
import { clearTimeout, setTimeout } from '../base/timers'

/** One process, as pidusage reads it. */
export type Status = Pick<pidusage.Status, 'ctime' | 'memory'>

/** Reads several processes in one call. A process that has ended, or that pidusage could not read, is absent. */
export type AskPidusage = (pids: readonly number[]) => Promise<Map<number, Status>>

/** A reading waits for libuv's thread pool, which the application may have filled for a long time, ms. */
export const ANSWER_DEADLINE_MS = 1000

/**
 * How long pidusage keeps the descriptor of a process that is not asked for any more, ms. Only expiry closes it: `clear()`
 * leaves it open. Much longer than the event loop can stand still: if an entry expires while it is being read, pidusage
 * closes that descriptor's number a second time later, when it may be the application's. With 0, pidusage reads for ever.
 */
const MAX_AGE_MS = 10 * 60 * 1000

/**
 * Loads pidusage and checks, without a reading, whether it can be used here.
 *
 * @param platform - As `process.platform`.
 * @param load - Loads the package.
 * @returns The function that reads, or the reason why pidusage cannot be used.
 */
export function loadPidusage(
  platform: NodeJS.Platform = process.platform,
  load: () => unknown = requirePidusage,
): AskPidusage | string {
  if (platform !== 'linux') return `pidusage would start a program for each reading on ${platform}`
  try {
    assertOwnProc()
    // The thread's own copy of the environment. A `getconf` that cannot be started would be printed with its stack.
    if (!isMainThread) process.env.PIDUSAGE_SILENT = 'true'
    if (!isGetconfFound()) return 'pidusage needs the program getconf, which is not in PATH'
    return asker(load() as typeof pidusage)
  } catch (error) {
    return `pidusage failed: ${firstLineOf(error)}`
  }
}

/** Loaded when first needed. By its literal name, so that a bundler includes it. */
function requirePidusage(): unknown {
  return require('pidusage')
}

/** @throws In a `/proc` of another PID namespace, where our pid belongs to another process. */
export function assertOwnProc(): void {
  const self = readlinkSync('/proc/self')
  if (self !== String(process.pid)) throw new Error(`/proc shows process ${process.pid} as ${self}`)
}

/** pidusage starts `getconf` with its first reading; without it, it prints two stacks to stderr. */
function isGetconfFound(): boolean {
  const directories = (process.env.PATH ?? '/usr/bin:/bin').split(':').filter((directory) => directory !== '')
  return existsSync('/bin/sh') && directories.some((directory) => existsSync(join(directory, 'getconf')))
}

function asker(read: typeof pidusage): AskPidusage {
  return (pids) =>
    new Promise((resolve, reject) => {
      // Without a free descriptor, pidusage prints a warning to stderr for each reading.
      closeSync(openSync('/proc/uptime', 'r'))
      const timer = setTimeout(() => {
        // An entry whose reading hangs must not expire, see above.
        read.clear()
        reject(new Error(`no answer for ${ANSWER_DEADLINE_MS} ms`))
      }, ANSWER_DEADLINE_MS).unref()
      // Both options are given: pidusage takes missing ones from PIDUSAGE_USE_PS and PIDUSAGE_MAXAGE.
      read([...pids], { usePs: false, maxage: MAX_AGE_MS }, (error: Error | null | undefined, stats) => {
        clearTimeout(timer)
        if (error && !isGone(error)) reject(error)
        else resolve(statusByPid(pids, stats))
      })
    })
}

function statusByPid(
  pids: readonly number[],
  stats: Record<string, Status | null | undefined> | undefined,
): Map<number, Status> {
  return new Map(
    pids.flatMap((pid) => {
      const status = stats?.[pid]
      return status && Number.isFinite(status.ctime) && Number.isFinite(status.memory) ? [[pid, status]] : []
    }),
  )
}

/** A process that ended: before its file was opened (ENOENT), or between that and the reading (ESRCH). */
function isGone({ code }: NodeJS.ErrnoException): boolean {
  return code === 'ENOENT' || code === 'ESRCH'
}
