// The one file of the reader that knows what the monitor writes.
import { lstatSync, statSync } from 'node:fs'
import { basename } from 'node:path'
import { parseArtefactName, SIDECAR_SUFFIX } from '../files/names'
import { readRegular } from './input'
import type { JsonObject } from './json'
import { isObject, numberOr, textOr } from './json'
import type { Circumstances, Flight, Series } from './model'
import { formatReading } from './units'

/** Longest description that is read, bytes. The monitor's have a few KiB. */
const MAX_SIDECAR_BYTES = 256 * 1024
/** Characters of a text that are kept. */
const MOST_CHARACTERS = 200
/** Readings, threads and owners of memory that are read. The monitor writes at most 300 readings and 24 threads. */
const MOST_READINGS = 1000
const MOST_ROWS = 50
const MB = 1024 * 1024
/** The last moment that a Date can have. */
export const LATEST_MS = 8.64e15

/** Columns of the flight recorder, what they are called, and their unit. */
const COLUMNS = [
  { column: 'cpuPercent', name: 'CPU', unit: 'percent', factor: 1 },
  { column: 'rssMb', name: 'resident memory', unit: 'bytes', factor: MB },
  { column: 'heapUsedMb', name: 'used heap', unit: 'bytes', factor: MB },
  { column: 'loopDelayMs', name: 'event loop delay', unit: 'ms', factor: 1 },
  { column: 'gcPercent', name: 'garbage collection', unit: 'percent', factor: 1 },
] as const

/** Kinds of threads that have no name of their own. */
const THREAD_KINDS: ReadonlyMap<string, string> = new Map([
  ['main', 'main thread'],
  ['pool', 'thread pool'],
  ['v8', 'V8 (collection, compilation)'],
  ['monitor', 'the monitor'],
])

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

/** Where the description of an artefact may stand; the monitor writes the first. */
function descriptionsOf(path: string): readonly string[] {
  return [path.replace(/\.gz$/, '') + SIDECAR_SUFFIX, path + SIDECAR_SUFFIX]
}

/** A note where another user has left a description, or a link, beside an artefact. */
export function foreignDescription(path: string): readonly string[] {
  const owner = statSync(path, { throwIfNoEntry: false })?.uid
  const isForeign = descriptionsOf(path).some((candidate) => {
    const stats = lstatSync(candidate, { throwIfNoEntry: false })
    return stats !== undefined && (stats.isSymbolicLink() || stats.uid !== owner)
  })
  if (!isForeign) return []
  return [`The .json of ${basename(path)} belongs to another user, or is a link, and was not read.`]
}

/**
 * Reads the description beside an artefact. `undefined` if there is none of the monitor's, or it belongs to another user than the
 * artefact; never throws.
 */
export function readCircumstances(path: string): Circumstances | undefined {
  for (const candidate of descriptionsOf(path)) {
    try {
      const owner = statSync(path).uid
      const found = circumstancesOf(parse(readRegular(candidate, MAX_SIDECAR_BYTES, owner)))
      if (found !== undefined) return found
    } catch {
      continue // Missing, or not JSON: the artefact is read without it.
    }
  }
  return undefined
}

/** Parses a description: texts are cut, and what has a long name is left out. */
function parse(content: Buffer): unknown {
  return JSON.parse(content.toString('utf8'), (key, value: unknown) => {
    if (key.length > MOST_CHARACTERS) return undefined
    return typeof value === 'string' ? shortText(value) : value
  })
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
    ...present({ flight: flightOf(sidecar['flight']) }),
    threads: threadsOf(sidecar['makeup']),
    memory: memoryOf(sidecar['makeup']),
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
    .slice(-MOST_READINGS)
}

function flightOf(value: unknown): Flight | undefined {
  if (!isObject(value)) return undefined
  const endedAtMs = Date.parse(textOr(value['endedAt'], ''))
  const atMs = numbersOf(value['secondsAgo']).map((seconds) => endedAtMs - seconds * 1000)
  if (atMs.length === 0 || !atMs.every((ms) => Math.abs(ms) <= LATEST_MS)) return undefined
  const series = COLUMNS.map(({ column, name, unit, factor }): Series => {
    const values = numbersOf(value[column])
    return { name, unit, values: atMs.map((_, index) => (values[index] ?? NaN) * factor) }
  })
  return { atMs, series: series.filter(({ values }) => !values.every(Number.isNaN)) }
}

function numbersOf(value: unknown): number[] {
  if (!Array.isArray(value)) return []
  return (value as unknown[]).slice(-MOST_READINGS).map((entry) => numberOr(entry, NaN))
}

function threadsOf(makeup: unknown): Circumstances['threads'] {
  const threads = isObject(makeup) ? makeup['threads'] : undefined
  if (!Array.isArray(threads)) return []
  return (threads as unknown[])
    .filter(isObject)
    .slice(0, MOST_ROWS)
    .map((thread) => ({ name: threadName(thread), percent: numberOr(thread['cpuPercent'], 0) }))
    .filter(({ percent }) => percent > 0)
    .sort((one, other) => other.percent - one.percent)
}

function threadName(thread: JsonObject): string {
  const kind = textOr(thread['kind'], '')
  const name = threadOf(thread) ?? THREAD_KINDS.get(kind) ?? shortText(textOr(thread['name'], 'unknown'))
  const count = numberOr(thread['count'], 1)
  return count > 1 ? `${name} (${count} threads)` : name
}

/** Parts that do not overlap: their sum is the resident memory, or more where memory was reserved and never touched. */
function memoryOf(makeup: unknown): Circumstances['memory'] {
  const memory = isObject(makeup) ? makeup['memory'] : undefined
  if (!isObject(memory)) return []
  const bytes = (key: string): number => numberOr(memory[key], 0)
  const workers = Array.isArray(memory['workers']) ? (memory['workers'] as unknown[]).filter(isObject) : []
  const buffers = Math.min(bytes('arrayBuffers'), bytes('external'))
  // Before the main thread's first report nothing of its memory can be taken from the rest.
  const isDivided = memory['heapTotal'] !== undefined || memory['external'] !== undefined
  return [
    { name: 'heap of the main thread', bytes: bytes('heapTotal') },
    { name: 'Buffers and ArrayBuffers', bytes: buffers },
    { name: 'other external memory', bytes: bytes('external') - buffers },
    ...workers.slice(0, MOST_ROWS).map((worker) => ({
      name: `heap of ${threadOf({ ...worker, kind: 'worker' }) ?? ''}`,
      bytes: numberOr(worker['heapTotal'], 0),
    })),
    { name: isDivided ? 'native memory and code' : 'not divided', bytes: bytes('rest') },
  ]
    .filter((part) => part.bytes > 0)
    .sort((one, other) => other.bytes - one.bytes)
}

/** Only of a worker: the main thread needs no name. */
function threadOf(value: unknown): string | undefined {
  if (!isObject(value) || value['kind'] !== 'worker') return undefined
  const name = shortText(textOr(value['name'], ''))
  return `worker${spaced(finite(value['id']))}${name === '' ? '' : ` '${name}'`}`
}

function spaced(id: number | undefined): string {
  return id === undefined ? '' : ` ${id}`
}

function thresholdOf(details: JsonObject): number | undefined {
  return finite(details['threshold'])
}

/** A threshold and a reading in the unit of their kind; anything else as it is. */
function detailText(kind: Circumstances['kind'], name: string, value: unknown): string {
  const isReading = ['threshold', 'reading', 'heapLimit', 'heapUsed'].includes(name)
  const number = isReading ? finite(value) : undefined
  return number === undefined ? shortText(value) : formatReading(kind, number)
}

/** The beginning, where it is long. */
function shortText(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
  if (text.length <= MOST_CHARACTERS) return text
  // A copy: V8's slice would keep the whole text in memory.
  return `${Buffer.from(text.slice(0, MOST_CHARACTERS)).toString()}…`
}

function finite(value: unknown): number | undefined {
  const number = numberOr(value, NaN)
  return Number.isNaN(number) ? undefined : number
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
