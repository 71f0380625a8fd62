// Parses the names of the profiles and snapshots that the monitor writes, and the `.json` description beside each of them.
import { lstatSync, type Stats } from 'node:fs'
import { basename } from 'node:path'
import { OWN_RULES, parseArtefactName, SIDECAR_SUFFIX } from '../files/names'
import { isLinkedByOthers } from '../files/owners'
import type { MemoryUse, ThreadKind, ThreadUse, UnreadWorker } from '../makeup/makeup'
import { cpuOwner, cpuSentence, type MemoryPart, memoryParts } from '../makeup/sentence'
import { readRegular, UNKNOWN_USER, userOf } from './input'
import type { JsonObject } from './json'
import { isObject, numberOr, textOr } from './json'
import type { Circumstances, Flight, Metric, Owner, Series } from './model'
import { formatBytes, formatReading } from './units'

/** Maximum size of a `.json` description, bytes; a larger one is not read. The monitor writes a few KiB. */
const MAX_SIDECAR_BYTES = 256 * 1024
/** Maximum length of a text in a description, characters. Longer texts are cut; properties with a longer name are left out. */
const MOST_CHARACTERS = 200
/**
 * Maximum number of readings that are taken from a list in a description: the last ones. The monitor writes at most 300.
 */
const MOST_READINGS = 1000
/** Maximum number of threads that are taken from a list in a description: the first ones. The monitor writes at most 24. */
const MOST_ROWS = 50
const MB = 1024 * 1024
/** The first moment that a dump can have, ms since 1970: Node.js appeared in 2009. */
const EARLIEST_MS = Date.UTC(2009, 0)
/** A dump can be this far in the future, ms: its machine's clock or time zone may have been set wrong. */
export const MOST_FUTURE_MS = 24 * 3600 * 1000
/** The last moment that a Date can have, ms since 1970. */
export const LATEST_MS = 8.64e15

/**
 * Largest plausible figure in a description, by unit. Larger and negative figures count as missing. The limits are an address
 * space of 48 bits, ten years, and ten thousand cores. `count` is for ids of processes and threads, and for numbers of threads.
 */
const MOST = {
  bytes: 2 ** 48,
  ms: 10 * 366 * 24 * 3600 * 1000,
  percent: 1_000_000,
  count: 2 ** 32 - 1,
} as const

/**
 * The lists of readings that a description has from the flight recorder, which keeps the minutes before a dump. `name` is the
 * title in the report. A number in the file times `factor` is the reading in `unit`.
 */
const COLUMNS = [
  { column: 'cpuPercent', name: 'CPU', unit: 'percent', factor: 1 },
  { column: 'rssMb', name: 'resident memory', unit: 'bytes', factor: MB },
  { column: 'heapUsedMb', name: 'used heap', unit: 'bytes', factor: MB },
  { column: 'loopDelayMs', name: 'event loop delay', unit: 'ms', factor: 1 },
  { column: 'gcPercent', name: 'garbage collection', unit: 'percent', factor: 1 },
] as const

/** Names in the report for the kinds of threads that have no name of their own. */
const THREAD_KINDS: ReadonlyMap<ThreadKind, string> = new Map([
  ['main', 'main thread'],
  ['pool', 'thread pool'],
  ['v8', 'V8 (garbage collection, compilation)'],
  ['monitor', 'the monitor'],
])

/**
 * Title and unit of each metric, a quantity that a built-in rule compares with its threshold. The HTML page draws a rule's
 * readings together with the readings of the flight recorder if both have the same title.
 */
const METRICS: ReadonlyMap<string, Metric> = new Map([
  ['cpu', { name: 'CPU', unit: 'percent' }],
  ['memory', { name: 'Memory', unit: 'bytes' }],
  ['heap', { name: "Used part of V8's heap limit", unit: 'percent' }],
  ['external', { name: 'External memory', unit: 'bytes' }],
  ['eventLoopDelay', { name: 'Delay of the event loop', unit: 'ms' }],
  ['eventLoopUtilization', { name: 'Utilization of the event loop', unit: 'percent' }],
  ['container', { name: "Used part of the container's memory limit", unit: 'percent' }],
])

/**
 * Names of the rules and metrics that are about the main thread alone. If one of them causes a dump, only the main thread's
 * files show why, even if another thread uses more CPU or memory.
 */
const OF_MAIN: ReadonlySet<string> = new Set([
  ...['blocked', 'leak', 'heap-limit'],
  ...['heap', 'eventLoopDelay', 'eventLoopUtilization'],
])

/** What the file name of an artefact says. An artefact is a profile or snapshot that the monitor wrote. */
export interface NameFacts {
  /** The beginning that the names of all files of one dump share. */
  readonly incident: string
  readonly kind: 'cpu' | 'memory'
  readonly rule: string
  readonly pid: number
  readonly startedAtMs: number
  /** `threadId` of the worker thread that the file is about; absent for the main thread. */
  readonly worker?: number
}

/**
 * Parses the file name of an artefact, with or without `.gz` at the end. `undefined` if the monitor gives artefacts no such name.
 */
export function readName(path: string): NameFacts | undefined {
  const parsed = parseArtefactName(basename(path).replace(/\.gz$/, ''))
  if (parsed === undefined || parsed.part !== 'artefact') return undefined
  const { baseName, kind, rule, pid, startedAtMs, worker } = parsed
  return { incident: baseName, kind, rule, pid, startedAtMs, ...(worker !== undefined && { worker }) }
}

/** Whether a file name has the form that the monitor gives to a profile or snapshot until the file is complete. */
export function isUnfinished(name: string): boolean {
  return parseArtefactName(name)?.part === 'partial'
}

/** Paths where the `.json` description of an artefact may be; the monitor writes to the first. */
export function descriptionsOf(path: string): readonly string[] {
  return [path.replace(/\.gz$/, '') + SIDECAR_SUFFIX, path + SIDECAR_SUFFIX]
}

/**
 * A note for the report if the `.json` beside an artefact is a symbolic link or belongs to another user than `owner`, or if
 * another user can have written it ({@link isLinkedByOthers}); else none.
 */
export function foreignDescription(path: string, owner: number): readonly string[] {
  const isForeign = descriptionsOf(path).some((candidate) => {
    const stats = statusOf(candidate)
    if (stats === undefined) return false
    if (owner === UNKNOWN_USER || stats.isSymbolicLink() || isLinkedByOthers(stats)) return true
    return userOf(candidate, stats) !== owner
  })
  if (!isForeign) return []
  return [
    `The .json of ${basename(path)} was not read: it belongs to another user, is a link, or may have been written by another user.`,
  ]
}

/**
 * A note for the report if another user can have written an artefact that belongs to somebody else ({@link isLinkedByOthers}); else
 * none.
 */
export function foreignContent(path: string): readonly string[] {
  const stats = statusOf(path)
  return stats !== undefined && isLinkedByOthers(stats) ? [foreignNote(path)] : []
}

export function foreignNote(path: string): string {
  return `${basename(path)} may be of another user: others may write to it, and it has several names.`
}

/** The status of a file, or of a link itself; `undefined` if it cannot be read, such as of a name that is too long. */
function statusOf(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false })
  } catch {
    return undefined
  }
}

/**
 * Reads the `.json` description beside an artefact. `undefined` if the monitor wrote none, if it cannot be read, or if it is a
 * symbolic link, or is or may be of another user than `owner`. Never throws.
 *
 * @param owner - Id of the user that owned the artefact when it was opened or listed. The present owner is not asked for, because
 *   another user may have replaced the artefact since.
 */
export function readCircumstances(path: string, owner: number): Circumstances | undefined {
  // Two files of unknown users may belong to two of them.
  if (owner === UNKNOWN_USER) return undefined
  for (const candidate of descriptionsOf(path)) {
    try {
      const found = circumstancesOf(parse(readRegular(candidate, MAX_SIDECAR_BYTES, owner)))
      if (found !== undefined) return found
    } catch {
      continue // The description at this path is missing, refused or not JSON.
    }
  }
  return undefined
}

/**
 * Parses the JSON of a description. Cuts texts that exceed {@link MOST_CHARACTERS}, and leaves out properties whose name does.
 */
function parse(content: Buffer): unknown {
  return JSON.parse(content.toString('utf8'), (key, value: unknown) => {
    if (key.length > MOST_CHARACTERS) return undefined
    return typeof value === 'string' ? shortText(value) : value
  })
}

/**
 * Converts a description to the report's form. Malformed values count as missing. `undefined` if the monitor did not write it.
 */
function circumstancesOf(sidecar: unknown): Circumstances | undefined {
  if (!isObject(sidecar) || sidecar['tool'] !== 'cpu-memory-monitor' || !isObject(sidecar['why']))
    return undefined
  const why = sidecar['why']
  const how = isObject(sidecar['how']) ? sidecar['how'] : {}
  const notes = isObject(how['notes']) ? how['notes'] : {}
  const where = isObject(sidecar['where']) ? sidecar['where'] : {}
  const details = isObject(why['details']) ? why['details'] : {}
  const kind = why['kind'] === 'cpu' ? 'cpu' : 'memory'
  const rule = textOr(why['rule'], 'unknown')
  // If the details name no metric, that of a built-in rule is its kind, cpu or memory. That of the user's own rules is then
  // unknown: earlier versions did not write it.
  const metricName = textOr(details['metric'], OWN_RULES.some((own) => own === rule) ? kind : '')
  const metric = METRICS.get(metricName)
  const isOfMain = OF_MAIN.has(rule) || OF_MAIN.has(metricName)
  const makeup = isObject(sidecar['makeup']) ? sidecar['makeup'] : {}
  return {
    kind,
    rule,
    details: Object.entries(details)
      .slice(0, 20)
      .map(([name, value]) => ({ name, text: detailText(metric, name, value) })),
    ...present({ threshold: reading(metric, details['threshold']), metric }),
    readings: readingsOf(metric, why['readings']),
    ...present({ flight: flightOf(sidecar['flight']) }),
    threads: threadsOf(makeup),
    memory: memoryOf(makeup),
    isOfMain,
    ...present({ owner: isOfMain ? undefined : ownerOf(kind, makeup) }),
    ...present({ thread: threadOf(sidecar['thread']), worker: workerOf(sidecar['thread']) }),
    ...present({ busyMs: figure('ms', notes['busyMs']), lateMs: figure('ms', notes['lateMs']) }),
    startedAtMs: startOf(where['startedAt'], Date.now()),
    ...present({
      durationMs: figure('ms', how['durationMs']),
      // 0 means that the pause was not measured.
      pauseMs: figure('ms', how['pauseMs']) || undefined,
      way: text(how['way']),
      pid: figure('count', where['pid']),
      host: text(where['host']),
      node: text(where['node']),
    }),
  }
}

/** When a dump began, ms since 1970; 0 if the description has no time that it can have. */
function startOf(startedAt: unknown, nowMs: number): number {
  const ms = Date.parse(textOr(startedAt, ''))
  return ms >= EARLIEST_MS && ms <= nowMs + MOST_FUTURE_MS ? ms : 0
}

function readingsOf(metric: Metric | undefined, value: unknown): Circumstances['readings'] {
  if (!Array.isArray(value)) return []
  return (value as unknown[])
    .filter(isObject)
    .map(({ at, value: read }) => ({
      atMs: Date.parse(textOr(at, '')),
      value: reading(metric, read) ?? NaN,
    }))
    .filter(({ atMs, value }) => Number.isFinite(atMs) && Number.isFinite(value))
    .slice(-MOST_READINGS)
}

function flightOf(value: unknown): Flight | undefined {
  if (!isObject(value)) return undefined
  const endedAtMs = Date.parse(textOr(value['endedAt'], ''))
  const atMs = numbersOf('ms', value['secondsAgo'], 1000).map((ms) => endedAtMs - ms)
  if (atMs.length === 0 || !atMs.every((ms) => Math.abs(ms) <= LATEST_MS)) return undefined
  const series = COLUMNS.map(({ column, name, unit, factor }): Series => {
    const values = numbersOf(unit, value[column], factor)
    return { name, unit, values: atMs.map((_, index) => values[index] ?? NaN) }
  })
  return { atMs, series: series.filter(({ values }) => !values.every(Number.isNaN)) }
}

/** The last numbers of a list, each times `factor`, which converts it to `unit`. NaN for what is no number or out of range. */
function numbersOf(unit: keyof typeof MOST, value: unknown, factor: number): number[] {
  if (!Array.isArray(value)) return []
  return (value as unknown[])
    .slice(-MOST_READINGS)
    .map((entry) => figure(unit, numberOr(entry, NaN) * factor) ?? NaN)
}

function threadsOf(makeup: JsonObject): Circumstances['threads'] {
  return usesOf(makeup)
    .map((use) => ({ name: threadName(use), percent: use.cpuPercent }))
    .filter(({ percent }) => percent > 0)
    .sort((one, other) => other.percent - one.percent)
}

function usesOf({ threads }: JsonObject): ThreadUse[] {
  if (!Array.isArray(threads)) return []
  return (threads as unknown[])
    .filter(isObject)
    .slice(0, MOST_ROWS)
    .map((thread) => ({
      kind: kindOf(thread['kind']),
      name: shortText(textOr(thread['name'], '')),
      cpuPercent: figure('percent', thread['cpuPercent']) ?? 0,
      ...present({
        id: figure('count', thread['id']),
        count: figure('count', thread['count']),
        waitPercent: figure('percent', thread['waitPercent']),
      }),
    }))
}

function kindOf(kind: unknown): ThreadKind {
  if (kind === 'worker') return kind
  return [...THREAD_KINDS.keys()].find((known) => known === kind) ?? 'other'
}

function threadName(use: ThreadUse): string {
  const { kind, name, count = 1 } = use
  const own = name === '' ? (count > 1 ? 'others' : 'unknown') : name
  const words = kind === 'worker' ? workerName(use) : (THREAD_KINDS.get(kind) ?? own)
  return count > 1 ? `${words} (${count} threads)` : words
}

/**
 * The memory of the process, divided by owner, the largest part first. The sum of the parts can exceed the resident memory,
 * because memory that was reserved but never touched, such as that of a new Buffer, counts too.
 */
function memoryOf(makeup: JsonObject): Circumstances['memory'] {
  const memory = memoryUseOf(makeup)
  if (memory === undefined) return []
  // Until the main thread has reported its heap and external memory, these are part of the rest.
  const isDivided = memory.heapTotal !== undefined || memory.external !== undefined
  return largestFirst(memoryParts(memory, workerName)).map(({ owner, words, bytes }) => ({
    name: owner === 'rest' && !isDivided ? 'not divided by owner' : words,
    bytes,
  }))
}

function largestFirst(parts: readonly MemoryPart[]): MemoryPart[] {
  return parts.filter(({ bytes }) => bytes > 0).sort((one, other) => other.bytes - one.bytes)
}

function memoryUseOf({ memory }: JsonObject): MemoryUse | undefined {
  if (!isObject(memory)) return undefined
  const workers = objectsIn(memory['workers'])
  const unread = objectsIn(memory['unread'])
  const bytes = (of: JsonObject, key: string): number => figure('bytes', of[key]) ?? 0
  return {
    rss: bytes(memory, 'rss'),
    rest: bytes(memory, 'rest'),
    unread: unread.slice(0, MOST_ROWS).map(identityOf),
    workers: workers.slice(0, MOST_ROWS).map((worker) => ({
      ...identityOf(worker),
      heapUsed: bytes(worker, 'heapUsed'),
      heapTotal: bytes(worker, 'heapTotal'),
      external: bytes(worker, 'external'),
      arrayBuffers: bytes(worker, 'arrayBuffers'),
    })),
    ...present({
      heapTotal: figure('bytes', memory['heapTotal']),
      external: figure('bytes', memory['external']),
      arrayBuffers: figure('bytes', memory['arrayBuffers']),
      restAtStart: figure('bytes', memory['restAtStart']),
    }),
  }
}

function objectsIn(value: unknown): JsonObject[] {
  return Array.isArray(value) ? (value as unknown[]).filter(isObject) : []
}

function identityOf(worker: JsonObject): UnreadWorker {
  return { id: figure('count', worker['id']) ?? 0, name: shortText(textOr(worker['name'], '')) }
}

/** What used most CPU time (for a CPU dump) or most memory (for a memory dump); `undefined` if the description has no figures. */
function ownerOf(kind: Circumstances['kind'], makeup: JsonObject): Owner | undefined {
  return kind === 'cpu' ? ownerOfCpu(makeup) : ownerOfMemory(makeup)
}

function ownerOfCpu(makeup: JsonObject): Owner | undefined {
  const threads = usesOf(makeup)
  const cpuPercent = threads.reduce((sum, thread) => sum + thread.cpuPercent, 0)
  if (cpuPercent === 0) return undefined
  const gcPercent = figure('percent', makeup['gcPercent'])
  const noMemory: MemoryUse = { rss: 0, workers: [], rest: 0 }
  const whole = { spanMs: 0, cpuPercent, threads, memory: noMemory, ...present({ gcPercent }) }
  const kind = cpuOwner(whole)
  const [worker] = threads
    .filter((thread) => thread.kind === 'worker')
    .sort((one, other) => other.cpuPercent - one.cpuPercent)
  return {
    kind,
    ...present({ worker: kind === 'worker' ? worker?.id : undefined }),
    sentence: `${cpuSentence(whole)}.`,
  }
}

function ownerOfMemory(makeup: JsonObject): Owner | undefined {
  const memory = memoryUseOf(makeup)
  if (memory?.heapTotal === undefined) return undefined
  const parts = memoryParts(memory, workerName)
  const [first] = parts
  if (first === undefined || first.bytes <= 0) return undefined
  const rows = largestFirst(parts)
  const shown = [first, ...rows.filter((row) => row !== first).slice(0, 2)]
  const total = memory.rss > 0 ? memory.rss : rows.reduce((sum, { bytes }) => sum + bytes, 0)
  const hint = first.owner === 'rest' ? (first.hint ?? '') : ''
  return {
    kind: first.owner,
    ...present({ worker: first.worker?.id }),
    sentence: `Memory ${formatBytes(total)}: ${shown.map(({ words, bytes }) => `${words} ${formatBytes(bytes)}`).join(', ')}${hint}.`,
  }
}

/** The name of the thread that an artefact is about if it is a worker thread; `undefined` for the main thread. */
function threadOf(value: unknown): string | undefined {
  if (!isObject(value) || value['kind'] !== 'worker') return undefined
  return workerName({
    name: shortText(textOr(value['name'], '')),
    ...present({ id: figure('count', value['id']) }),
  })
}

function workerOf(value: unknown): number | undefined {
  return isObject(value) && value['kind'] === 'worker' ? figure('count', value['id']) : undefined
}

function workerName({ id, name }: { readonly id?: number; readonly name: string }): string {
  return `worker${id === undefined ? '' : ` ${id}`}${name === '' ? '' : ` '${name}'`}`
}

/**
 * A threshold or a reading, in the metric's unit; `undefined` if it is out of range. Without a known metric, such as for values
 * that a function of the application returns, every number is accepted.
 */
function reading(metric: Metric | undefined, value: unknown): number | undefined {
  return figure(metric?.unit, value)
}

/**
 * Formats an entry of a description's `why.details`: thresholds and readings in the metric's unit, sizes, anything else as text.
 */
function detailText(metric: Metric | undefined, name: string, value: unknown): string {
  const isReading = ['threshold', 'reading'].includes(name)
  if (typeof value !== 'number' || (!isReading && !['heapLimit', 'heapUsed'].includes(name)))
    return shortText(value)
  const number = isReading ? reading(metric, value) : figure('bytes', value)
  if (number === undefined) return 'unknown'
  return isReading ? formatReading(metric, number) : formatBytes(number)
}

/** A text as it is, any other value as JSON, cut to {@link MOST_CHARACTERS}. */
function shortText(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
  if (text.length <= MOST_CHARACTERS) return text
  // Copies the slice, because a slice in V8 keeps the whole text in memory.
  return `${Buffer.from(text.slice(0, MOST_CHARACTERS)).toString()}…`
}

/**
 * The value if it is a number from 0 to the maximum for its unit in {@link MOST}; without a unit, any number. Else `undefined`.
 */
function figure(unit: keyof typeof MOST | undefined, value: unknown): number | undefined {
  const number = numberOr(value, NaN)
  if (Number.isNaN(number)) return undefined
  if (unit === undefined) return number
  return number < 0 || number > MOST[unit] || (unit === 'count' && !Number.isInteger(number))
    ? undefined
    : number
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

/** Copies an object without the keys whose value is undefined. */
function present<T extends object>(values: T): { [Key in keyof T]?: Exclude<T[Key], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [Key in keyof T]?: Exclude<T[Key], undefined>
  }
}
