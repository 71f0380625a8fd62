import { formatSize } from '../core/size'
import type { Logger } from '../options'
import { say } from '../report/host-code'
import { stderrLogger } from '../report/stderr-logger'
import type { ClusterEvents } from './handle'

const PREFIX = 'cluster:'

/** Writes where the user said, or to stderr; what cannot be written is lost, never thrown. */
export function createReport(logger: Logger | false | undefined): Logger {
  if (logger === false) return { info: ignore, warn: ignore, error: ignore }
  const target = logger ?? stderrLogger()
  const guarded = (level: keyof Logger) => (line: string) => say(target, level, `${PREFIX} ${line}`)
  return { info: guarded('info'), warn: guarded('warn'), error: guarded('error') }
}

/** For what is written even with `logger: false`: a limit that cannot be kept is a mistake in the call. */
export function warnAlways(logger: Logger | false | undefined, line: string): void {
  createReport(logger === false ? undefined : logger).warn(line)
}

type Lines = { readonly [Name in keyof ClusterEvents]: (event: ClusterEvents[Name][0]) => string }

/** One line per event. */
export const LINES: Lines = {
  ready: ({ id, pid, rss }) => `worker ${id} (pid ${pid}) is ready at ${formatSize(rss)}`,
  over: ({ id, pid, rss, limit }) =>
    `worker ${id} (pid ${pid}) is above ${formatSize(limit)}: ${formatSize(rss)}`,
  recycle: ({ id, pid, reason }) => `worker ${id} (pid ${pid}) is to be replaced: ${reason}`,
  recycled: ({ id, pid, ms, code, signal }) =>
    `worker ${id} (pid ${pid}) has been replaced: gone after ${ms} ms with ${signal ?? `code ${code}`}`,
  crash: ({ id, pid, cause, code, signal, uptime, missing }) =>
    `worker ${id} (pid ${pid}) is lost: ${cause}, ${ending(code, signal)}` +
    (uptime === 0 ? 'before it was ready' : `${uptime} ms after it was ready`) +
    (missing.length > 0 ? `: it did not listen on ${missing.join(', ')}` : ''),
  backoff: ({ ms, step }) => `workers die young: next attempt in ${ms} ms (step ${step})`,
  thrash: ({ id, lifetime, ms }) =>
    `worker ${id} was above the limit ${lifetime} ms after it was ready: ` +
    `next replacement in ${ms} ms at the earliest`,
  'limit-unreachable': ({ rss, limit }) =>
    `the limit of ${sizeInWords(limit)} is not above what a freshly started worker takes, ${sizeInWords(rss)}: ` +
    `replacing workers cannot help and is suspended for them`,
}

/** Nothing of a worker that still runs. */
function ending(code: number | null, signal: string | null): string {
  return code === null && signal === null ? '' : `${signal ?? `code ${code}`}, `
}

/** For a signal that ends the cluster: no event tells of it. */
export function drainLine(signal: NodeJS.Signals, workers: number, killTimeoutMs: number): string {
  return `${signal}: all workers drain (${workers}), at most ${killTimeoutMs} ms; a second signal ends them at once`
}

/** Events whose line is a warning. */
export const WARNINGS: ReadonlySet<keyof ClusterEvents> = new Set(['crash', 'backoff', 'thrash'])

function sizeInWords(sizeBytes: number): string {
  return `${formatSize(sizeBytes)} (${sizeBytes} bytes)`
}

function ignore(): void {
  // The user asked for silence.
}
