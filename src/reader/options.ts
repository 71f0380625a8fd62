import { parseArgs } from 'node:util'
import { reasonOf } from './json'

/** An error in the command line. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export interface ReportOptions {
  readonly command: 'report'
  readonly paths: readonly string[]
  readonly format: 'text' | 'md' | 'json'
  /** File to write the HTML page to, if one is wanted. */
  readonly out?: string
  readonly sourceMaps?: string
  /** File to write the profile to in the format of speedscope, if one is wanted. */
  readonly speedscope?: string
  /** File to write the profile to in the format of pprof, if one is wanted. */
  readonly pprof?: string
}

export interface ListOptions {
  readonly command: 'ls'
  readonly directory: string
  readonly isJson: boolean
  /** Dumps before this time are left out, ms since 1970. */
  readonly sinceMs: number
  readonly sort: 'time' | 'size' | 'kind'
}

export interface DoctorOptions {
  readonly command: 'doctor'
  readonly isJson: boolean
}

export interface RedactOptions {
  readonly command: 'redact'
  readonly path: string
  /** File to write the redacted snapshot to. */
  readonly out?: string
}

export interface HelpOptions {
  readonly command: 'help'
}

export const USAGE = `Usage:
  cpu-memory-monitor report <file|directory> [<later file>] [options]
      The first line of the answer names the function or class at fault. If the file does not show it, the line names
      the thread that used most CPU time, or the largest kind of memory.
      --out <file.html>     write one self-contained page as well
      --md, --json, --text  format of the answer (default: text)
      --source-maps <dir>   look for source maps in this directory as well
      --speedscope <file>   write the CPU or heap profile for speedscope as well
      --pprof <file>        write the CPU or heap profile for pprof as well, gzipped
  cpu-memory-monitor ls [directory] [options]
      Lists the dumps in the directory, the newest first.
      --since <time>        1h, 2d, or a date: leave out what is older
      --sort <key>          time, size or kind
      --json                one JSON object
  cpu-memory-monitor doctor [--json]
      Checks how dumps would be made here: methods, limits, directory, and what to do. Reads the CMM_* variables.
  cpu-memory-monitor redact <snapshot> [--out <file.heapsnapshot>]
      Writes the heap snapshot again without the contents of strings, regular expressions and numbers, and without keys
      that are data. (default: <name>.redacted.heapsnapshot beside it)

Reads .cpuprofile, .heapprofile and .heapsnapshot files of any origin, also gzipped. Two snapshots, or two CPU
profiles, are compared: give the earlier one first, unless their names contain the time.
`

const UNITS_MS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const SORTS = ['time', 'size', 'kind'] as const

/**
 * Reads the command line.
 *
 * @throws UsageError that names the mistake.
 */
export function readOptions(
  args: readonly string[],
  nowMs: number,
): ReportOptions | ListOptions | RedactOptions | DoctorOptions | HelpOptions {
  const [command, ...rest] = args
  if (command === undefined || ['help', '--help', '-h'].includes(command)) return { command: 'help' }
  if (rest.includes('--help') || rest.includes('-h')) return { command: 'help' }
  if (command === 'report') return readReport(rest)
  if (command === 'ls') return readList(rest, nowMs)
  if (command === 'doctor') return readDoctor(rest)
  if (command === 'redact') return readRedact(rest)
  throw new UsageError(`unknown command: ${command}`)
}

function readReport(args: readonly string[]): ReportOptions {
  const { values, positionals } = parsed(args, {
    text: { type: 'boolean' },
    md: { type: 'boolean' },
    json: { type: 'boolean' },
    out: { type: 'string' },
    'source-maps': { type: 'string' },
    speedscope: { type: 'string' },
    pprof: { type: 'string' },
  })
  if (positionals.length === 0) throw new UsageError('report needs a file or a directory')
  if (positionals.length > 2)
    throw new UsageError('report takes one file or directory, or two snapshots or CPU profiles')
  const formats = (['text', 'md', 'json'] as const).filter((format) => values[format] === true)
  if (formats.length > 1)
    throw new UsageError(`choose one of ${formats.map((format) => `--${format}`).join(', ')}`)
  const { out, 'source-maps': sourceMaps, speedscope, pprof } = values
  if ((speedscope !== undefined || pprof !== undefined) && positionals.length > 1)
    throw new UsageError('--speedscope and --pprof convert one profile: give one file')
  return {
    command: 'report',
    paths: positionals,
    format: formats[0] ?? 'text',
    ...(typeof out === 'string' && { out }),
    ...(typeof sourceMaps === 'string' && { sourceMaps }),
    ...(typeof speedscope === 'string' && { speedscope }),
    ...(typeof pprof === 'string' && { pprof }),
  }
}

function readList(args: readonly string[], nowMs: number): ListOptions {
  const { values, positionals } = parsed(args, {
    json: { type: 'boolean' },
    since: { type: 'string' },
    sort: { type: 'string' },
  })
  if (positionals.length > 1) throw new UsageError('ls takes one directory')
  const sort = SORTS.find((known) => known === (values['sort'] ?? 'time'))
  if (sort === undefined) throw new UsageError(`--sort must be one of ${SORTS.join(', ')}`)
  return {
    command: 'ls',
    directory: positionals[0] ?? '.',
    isJson: values['json'] === true,
    sinceMs: typeof values['since'] === 'string' ? readSince(values['since'], nowMs) : -Infinity,
    sort,
  }
}

function readDoctor(args: readonly string[]): DoctorOptions {
  const { values, positionals } = parsed(args, { json: { type: 'boolean' } })
  if (positionals.length > 0)
    throw new UsageError('doctor takes no file; it reads the environment variables CMM_*')
  return { command: 'doctor', isJson: values['json'] === true }
}

function readRedact(args: readonly string[]): RedactOptions {
  const { values, positionals } = parsed(args, { out: { type: 'string' } })
  const [path] = positionals
  if (path === undefined || positionals.length > 1) throw new UsageError('redact takes one heap snapshot')
  const { out } = values
  return { command: 'redact', path, ...(typeof out === 'string' && { out }) }
}

function readSince(text: string, nowMs: number): number {
  const { number, unit } = /^(?<number>\d+(?:\.\d+)?)(?<unit>[smhd])$/.exec(text)?.groups ?? {}
  if (number !== undefined) return nowMs - Number(number) * UNITS_MS[unit as keyof typeof UNITS_MS]
  const date = Date.parse(text)
  if (Number.isNaN(date)) throw new UsageError(`--since must be a duration such as 2h or a date, not ${text}`)
  return date
}

function parsed(
  args: readonly string[],
  options: Record<string, { type: 'boolean' | 'string' }>,
): { values: Record<string, unknown>; positionals: string[] } {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true })
  } catch (error) {
    throw new UsageError(reasonOf(error))
  }
}
