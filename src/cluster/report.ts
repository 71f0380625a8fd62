// Builds the log lines of a cluster, and the events that the handle returned by `run` emits.

import { availableParallelism } from 'node:os'
import { formatSize } from '../base/size'
import type { Budget } from '../dispatch/budget'
import { type Logger, say, stderrLogger } from '../report/listeners'
import { readLimits } from '../system/limits'
import type { ClusterEvents, WorkerEnd, WorkerIdentity, WorkerLoss } from './handle'
import type { ClusterSettings } from './options'
import type { ClusterNews } from './plan/events'

const PREFIX = 'cluster:'

/** Number of workers per core above which a warning is logged: more only wait for each other, so it is probably a mistake. */
export const USUAL_WORKERS_PER_CORE = 4

/**
 * Creates the cluster's logger from the option `logger`: `false` for no lines, `undefined` for stderr. Each line begins with
 * `cluster:`. The logger never throws: a line that cannot be written is lost.
 */
export function createLogger(logger: Logger | false | undefined): Logger {
  if (logger === false) return { info: ignore, warn: ignore, error: ignore }
  const target = logger ?? stderrLogger()
  const guarded = (level: keyof Logger) => (line: string) => say(target, level, `${PREFIX} ${line}`)
  return { info: guarded('info'), warn: guarded('warn'), error: guarded('error') }
}

/** Logs a warning, with `logger: false` to stderr. Used for a memory limit so low that replacing workers cannot enforce it. */
export function warnAlways(logger: Logger | false | undefined, line: string): void {
  createLogger(logger === false ? undefined : logger).warn(line)
}

/** Name and payload of an event that the cluster's handle emits. */
export type Publication = {
  [Name in keyof ClusterEvents]: { readonly name: Name; readonly event: ClusterEvents[Name][0] }
}[keyof ClusterEvents]

/** Converts a report of the reconciler to a public event; times are rounded to whole ms. */
export function toPublication(news: ClusterNews, identity: WorkerIdentity, limitBytes: number): Publication {
  switch (news.name) {
    case 'ready':
      return { name: news.name, event: { ...identity, rss: news.rssBytes } }
    case 'over':
    case 'limit-unreachable':
      return { name: news.name, event: { ...identity, rss: news.rssBytes, limit: limitBytes } }
    case 'recycle':
      return { name: news.name, event: { ...identity, rss: news.rssBytes, reason: news.reason } }
    case 'drain':
      return { name: news.name, event: { ...identity, rss: news.rssBytes, reason: news.reason } }
    case 'recycled': {
      const { reason, code, signal } = news
      const ms = Math.round(news.durationMs)
      return { name: news.name, event: { ...identity, rss: news.rssBytes, reason, ms, code, signal } }
    }
    case 'crash': {
      const { cause, code, signal, missing } = news
      // Rounded up: 0 means that the worker was never ready.
      const uptime = Math.ceil(news.uptimeMs)
      return { name: news.name, event: { ...identity, cause, code, signal, uptime, missing } }
    }
    case 'backoff':
      return { name: news.name, event: { ms: Math.round(news.delayMs), step: news.step } }
    case 'thrash': {
      const [lifetime, ms] = [Math.round(news.lifetimeMs), Math.round(news.delayMs)]
      return { name: news.name, event: { ...identity, lifetime, ms } }
    }
  }
}

/** Settings of the cluster that the log line of a lost worker names, because its event does not contain them. */
export interface LineFacts {
  /** The file that the workers execute. */
  readonly workerFile: string
  readonly startTimeoutMs: number
}

type Line<Event> = (event: Event, facts: LineFacts) => string

type Lines = { readonly [Name in keyof ClusterEvents]: Line<ClusterEvents[Name][0]> }

/** The log line of each event. */
export const LINES: Lines = {
  ready: ({ id, pid, rss }) => `worker ${id} (pid ${pid}) is ready and uses ${formatSize(rss)}`,
  over: ({ id, pid, rss, limit }) =>
    `worker ${id} (pid ${pid}) is above the limit of ${formatSize(limit)}: it uses ${formatSize(rss)}`,
  recycle: ({ id, pid, reason }) => `worker ${id} (pid ${pid}) will be replaced, reason: ${reason}`,
  drain: ({ id, pid, reason }) =>
    `worker ${id} (pid ${pid}) finishes its requests and ends, reason: ${reason}`,
  recycled: ({ id, pid, ms, code, signal }) =>
    `worker ${id} (pid ${pid}) has been replaced: it ended ${ms} ms after the order to drain, with ${signal ?? `code ${code}`}`,
  crash: (loss, facts) =>
    `worker ${loss.id} (pid ${loss.pid}) is lost: ${loss.cause}, ${ending(loss.code, loss.signal)}` +
    (loss.uptime === 0 ? 'before it was ready' : `${loss.uptime} ms after it was ready`) +
    whyNotReady(loss, facts),
  backoff: ({ ms, step }) =>
    `workers end soon after their start: the next is forked in ${ms} ms (failure ${step} in a row)`,
  thrash: ({ id, lifetime, ms }) =>
    `worker ${id} was above the limit ${lifetime} ms after it was ready: ` +
    `next replacement in ${ms} ms at the earliest`,
  'limit-unreachable': ({ rss, limit }) =>
    `the limit of ${sizeWithBytes(limit)} is not above what a new worker uses, ${sizeWithBytes(rss)}: ` +
    `replacing workers cannot help, so one that starts at the limit or above is not replaced for it`,
}

/** Events whose log line is a warning. The warning of 'limit-unreachable' is logged by {@link warnAlways} instead. */
export const WARNINGS: ReadonlySet<keyof ClusterEvents> = new Set(['crash', 'backoff', 'thrash'])

/** @returns Text that says why a worker was not ready in time; empty for other losses. */
function whyNotReady({ cause, missing }: WorkerLoss, { workerFile, startTimeoutMs }: LineFacts): string {
  if (cause === 'run-not-called')
    return `: ${workerFile} did not call run() in time; the file that workers execute (exec of cluster.setupPrimary) must call it`
  if (cause !== 'start-timeout') return ''
  if (missing.length > 0) return `: it did not listen on ${missing.join(', ')}`
  return `: runFunc had not settled ${startTimeoutMs} ms after the fork (startTimeout)`
}

/** @returns Exit code or signal as text; empty for a worker that still runs or was never started. */
function ending(code: number | null, signal: string | null): string {
  return code === null && signal === null ? '' : `${signal ?? `code ${code}`}, `
}

/** Log line for a signal that ends the cluster; there is no event for it. */
export function drainLine(signal: NodeJS.Signals, workers: number, killTimeoutMs: number): string {
  return `${signal}: ${workers} workers finish their requests and end, within ${killTimeoutMs} ms; a second signal kills them at once`
}

/** Log line for a worker that ended with another code than 0, or by a signal, while the cluster stopped. */
export function cutLine(
  { id, pid }: WorkerIdentity,
  { code, signal }: WorkerEnd,
  killTimeoutMs: number,
): string {
  return (
    `worker ${id} (pid ${pid}) ended with ${signal ?? `code ${code}`} while the cluster stopped: ` +
    `its last requests may have been cut (killTimeout gives them ${killTimeoutMs} ms)`
  )
}

/**
 * Log line for a worker that ends itself at the deadline of its drain (`killTimeout`). The worker writes it only when no
 * primary that uses `run` is connected, which would log the exit.
 */
export function unfinishedLine(pid: number, killTimeoutMs: number): string {
  return (
    `the worker with pid ${pid} ends with code 1 before it has finished: ` +
    `its last requests may have been cut (killTimeout gives them ${killTimeoutMs} ms)`
  )
}

/** Log line for a worker that ends itself at the deadline of its dump (`dump.deadline`). */
export function lateDumpLine(pid: number, deadlineMs: number, isWritten: boolean): string {
  const why = isWritten
    ? `because it could not leave within ${deadlineMs} ms (dump.deadline); its dump is written`
    : `because its dump is not written after ${deadlineMs} ms (dump.deadline); a forked child that writes it goes on`
  return `the worker with pid ${pid} ends with code 1, ${why}`
}

/** Log line for a worker that is replaced for its memory without a dump, because the dump budget is spent. */
export function spentLine({ id, pid }: WorkerIdentity, { tokensPerInterval, intervalMs }: Budget): string {
  return (
    `no heap snapshot of worker ${id} (pid ${pid}): ` +
    `the dump budget of all workers together is spent: at most ${tokensPerInterval} in ${intervalMs / 1000} s (dump.limiter)`
  )
}

/** Returns warnings for settings that ask for more memory or cores than the machine has. */
export function startWarnings(
  settings: Pick<ClusterSettings, 'count' | 'maxSurge' | 'limitBytes'>,
  limits = readLimits(),
  cores = availableParallelism(),
): readonly string[] {
  return [tooLittleMemory(settings, limits), tooManyWorkers(settings, cores)].filter(
    (line) => line !== undefined,
  )
}

/** Returns a warning when all workers at their limit, plus a replacement, need more than the available memory. */
function tooLittleMemory(
  { count, maxSurge, limitBytes }: Pick<ClusterSettings, 'count' | 'maxSurge' | 'limitBytes'>,
  limits: ReturnType<typeof readLimits>,
): string | undefined {
  const needBytes = (count + maxSurge) * limitBytes
  const haveBytes = limits.memoryLimitBytes ?? limits.totalMemoryBytes
  if (needBytes <= haveBytes) return undefined
  const source = limits.memoryLimitBytes === undefined ? 'machine' : limits.memoryLimitSource
  return (
    `${count + maxSurge} workers (count + maxSurge) at the limit of ${formatSize(limitBytes)} need ${formatSize(needBytes)}, ` +
    `but there are only ${formatSize(haveBytes)} (${source}): lower the limit or the number of workers`
  )
}

function tooManyWorkers({ count }: Pick<ClusterSettings, 'count'>, cores: number): string | undefined {
  if (count <= USUAL_WORKERS_PER_CORE * cores) return undefined
  return `${count} workers share ${cores} cores: lower options.count or the environment variable CPU_COUNT`
}

function sizeWithBytes(sizeBytes: number): string {
  return `${formatSize(sizeBytes)} (${sizeBytes} bytes)`
}

function ignore(): void {
  // The user chose `logger: false`.
}
