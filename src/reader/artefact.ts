// The one file of the reader that knows what the monitor writes.
import { basename } from 'node:path'
import { parseArtefactName, SIDECAR_SUFFIX } from '../files/names'
import { readRegular } from './input'
import type { JsonObject } from './json'
import { isObject, numberOr, textOr } from './json'
import type { Circumstances } from './model'
import { formatReading } from './units'

/** Longest description that is read, bytes. The monitor's have a few KiB. */
const MAX_SIDECAR_BYTES = 1024 * 1024

/** The parts of an artefact's name. */
export interface NameFacts {
  /** The part that the names of all files of one dump share. */
  readonly incident: string
  readonly kind: 'cpu' | 'memory'
  readonly rule: string
  readonly pid: number
  readonly startedAtMs: number
  /** `threadId` of the worker thread that the file is about; absent for the main thread. */
  readonly worker?: number
}

/** Parses a file name that the monitor gave, with or without a `.gz` at the end. */
export function readName(path: string): NameFacts | undefined {
  const parsed = parseArtefactName(basename(path).replace(/\.gz$/, ''))
  if (parsed === undefined || parsed.part !== 'artefact') return undefined
  const { baseName, kind, rule, pid, startedAtMs, worker } = parsed
  return { incident: baseName, kind, rule, pid, startedAtMs, ...(worker !== undefined && { worker }) }
}

/** Whether the monitor gave the name to a file that it has not finished. */
export function isUnfinished(name: string): boolean {
  return parseArtefactName(name)?.part === 'partial'
}

/** Reads the description beside an artefact. `undefined` if there is none of the monitor's; never throws. */
export function readCircumstances(path: string): Circumstances | undefined {
  for (const candidate of [path + SIDECAR_SUFFIX, path.replace(/\.gz$/, '') + SIDECAR_SUFFIX]) {
    try {
      const found = circumstancesOf(JSON.parse(readRegular(candidate, MAX_SIDECAR_BYTES).toString('utf8')))
      if (found !== undefined) return found
    } catch {
      continue // Missing, or not JSON: the artefact is read without it.
    }
  }
  return undefined
}

/** The well-formed parts of a description. */
function circumstancesOf(sidecar: unknown): Circumstances | undefined {
  if (!isObject(sidecar) || sidecar['tool'] !== 'cpu-memory-monitor' || !isObject(sidecar['why']))
    return undefined
  const why = sidecar['why']
  const how = isObject(sidecar['how']) ? sidecar['how'] : {}
  const notes = isObject(how['notes']) ? how['notes'] : {}
  const where = isObject(sidecar['where']) ? sidecar['where'] : {}
  const details = isObject(why['details']) ? why['details'] : {}
  const kind = why['kind'] === 'cpu' ? 'cpu' : 'memory'
  return {
    kind,
    rule: textOr(why['rule'], 'unknown'),
    details: Object.entries(details)
      .slice(0, 20)
      .map(([name, value]) => ({ name, text: detailText(kind, name, value) })),
    ...present({ threshold: thresholdOf(details) }),
    readings: readingsOf(why['readings']),
    ...present({ thread: threadOf(sidecar['thread']), busyMs: finite(notes['busyMs']) }),
    startedAtMs: Date.parse(textOr(where['startedAt'], '')) || 0,
    ...present({
      durationMs: finite(how['durationMs']),
      // 0: not measured.
      pauseMs: finite(how['pauseMs']) || undefined,
      way: text(how['way']),
      pid: finite(where['pid']),
      host: text(where['host']),
      node: text(where['node']),
    }),
  }
}

function readingsOf(value: unknown): Circumstances['readings'] {
  if (!Array.isArray(value)) return []
  return (value as unknown[])
    .filter(isObject)
    .map((reading) => ({
      atMs: Date.parse(textOr(reading['at'], '')),
      value: numberOr(reading['value'], NaN),
    }))
    .filter(({ atMs, value }) => Number.isFinite(atMs) && Number.isFinite(value))
    .slice(-1000)
}

/** Only of a worker: the main thread needs no name. */
function threadOf(value: unknown): string | undefined {
  if (!isObject(value) || value['kind'] !== 'worker') return undefined
  const name = shortText(textOr(value['name'], ''))
  return `worker ${numberOr(value['id'], NaN)}${name === '' ? '' : ` '${name}'`}`
}

function thresholdOf(details: JsonObject): number | undefined {
  return finite(details['threshold'])
}

/** A threshold and a reading in the unit of their kind; anything else as it is. */
function detailText(kind: Circumstances['kind'], name: string, value: unknown): string {
  return ['threshold', 'reading'].includes(name) && typeof value === 'number'
    ? formatReading(kind, value)
    : shortText(value)
}

function shortText(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
  return text.length > 200 ? `${text.slice(0, 200)}…` : text
}

function finite(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

/** Without the keys whose value is undefined. */
function present<T extends object>(values: T): { [Key in keyof T]?: Exclude<T[Key], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [Key in keyof T]?: Exclude<T[Key], undefined>
  }
}
