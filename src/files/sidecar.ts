import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseJson } from '../base/globals'
import type { Makeup } from '../makeup/makeup'
import type { Flight } from '../makeup/recorder'
import type { Evidence } from './expiry'
import type { DumpRule } from './names'
import { readOwn } from './owners'

/** A finished file of a dump: whole, synced, under its final name. */
export interface Artefact {
  readonly file: string
  readonly sizeBytes: number
}

/** The thread that an artefact is about. */
export interface EvidentThread {
  readonly kind: 'main' | 'worker'
  /** `threadId` of the thread in node:worker_threads; 0 for the main thread. */
  readonly id: number
  /** Name that the application gave to the thread; empty for the main thread. */
  readonly name: string
}

/** Value of `thread` in the sidecar of each artefact that is not about a worker thread. */
export const MAIN_THREAD: EvidentThread = { kind: 'main', id: 0, name: '' }

/** The content of `<full file name>.json`, which stands beside each artefact. */
export interface Sidecar {
  /** Marks the file as written by this library. Artefacts without this mark are never deleted. */
  readonly tool: 'cpu-memory-monitor'
  readonly version: string
  /** Full name of the artefact that this file describes. */
  readonly artefact: string
  readonly why: {
    readonly kind: 'cpu' | 'memory'
    readonly rule: DumpRule
    /**
     * Values that explain why the dump was requested. They depend on `rule`, for example: for a threshold, the threshold, the
     * counter (required readings in a row) and the latest reading; for a leak, the growth of the heap; for `manual`, who asked.
     */
    readonly details: Readonly<Record<string, unknown>>
    /** The latest readings of the watched value before the dump was requested, oldest first. `at`: time in ISO 8601. */
    readonly readings: readonly { readonly at: string; readonly value: number }[]
  }
  /**
   * The thread that the artefact is about.
   *
   * @default the main thread
   */
  readonly thread?: EvidentThread | undefined
  /** How the CPU time and the memory of the process were divided among its threads. */
  readonly makeup?: Makeup | undefined
  /** Readings of CPU, memory and event loop in the last five minutes before the dump, one a second. */
  readonly flight?: Flight | undefined
  readonly how: {
    readonly way: string
    readonly passedOver: readonly { readonly way: string; readonly why: string }[]
    /** Pause of the thread that the artefact is about, ms; 0 in a CPU profile of a worker, where it is not measured. */
    readonly pauseMs: number
    readonly durationMs: number
    readonly sizeBytes: number
    /** Values that only some capture methods record, such as `childPeakBytes` (memory of a forked child) or `redacted: true`. */
    readonly notes?: Readonly<Record<string, unknown>>
  }
  readonly where: {
    readonly node: string
    readonly v8: string
    readonly pid: number
    readonly host: string
    /** Absolute path. Retention compares it, character by character, with the directory in which it deletes. */
    readonly directory: string
    readonly startedAt: string
    readonly limits: Readonly<Record<string, number | string>>
  }
}

/** The sidecar of an artefact that is still being written, before `how` is known. */
export type DraftSidecar = Omit<Sidecar, 'how'>

/** The fields of a sidecar that are known before the capture. */
export type KnownBefore = Pick<Sidecar, 'why' | 'thread' | 'makeup' | 'flight' | 'where'>

/** The fields of `how` that the capturing code supplies. The size is measured when the file gets its final name. */
export type How = Omit<Sidecar['how'], 'sizeBytes'>

/** Version from this package's package.json; `unknown` when the application is bundled without that file. */
export const VERSION =
  // The built files lie at different depths below the package's directory.
  ['..', '../..', '../../..', '../../../..']
    .map((above) => versionIn(join(__dirname, above)))
    .find((version) => version !== 'unknown') ?? 'unknown'

function versionIn(directory: string): string {
  const manifest = join(directory, 'package.json')
  try {
    const { name, version } = parseJson(readFileSync(manifest, 'utf8')) as Record<string, unknown>
    return name === 'cpu-memory-monitor' && typeof version === 'string' ? version : 'unknown'
  } catch {
    return 'unknown'
  }
}

/** Largest size of a sidecar that is read, bytes. A sidecar of this library has a few KiB. */
export const MAX_SIDECAR_BYTES = 1024 * 1024

/**
 * Reads a file that may be a sidecar. It follows no symlink, does not wait on a FIFO, and refuses a file that is larger than
 * {@link MAX_SIDECAR_BYTES} or belongs to another user: in a shared directory other users can create files with any content.
 *
 * @param path - Path of the file.
 * @param fileName - Name that the artefact should have: the sidecar's own name without `.json`. It is returned unchecked.
 * @returns `undefined` for a file that cannot be read or is not a sidecar. Never throws.
 */
export function readSidecar(path: string, fileName: string): Evidence | undefined {
  try {
    const text = readOwn(path, MAX_SIDECAR_BYTES)
    return text === undefined ? undefined : factsOf(parseJson(text), fileName)
  } catch {
    return undefined
  }
}

function factsOf(json: unknown, fileName: string): Evidence | undefined {
  const { tool, artefact, why, where } = record(json)
  const { rule } = record(why)
  const { host, directory, limits } = record(where)
  const { childDeadlineMs } = record(limits)
  if (!isString(tool) || !isString(artefact) || !isString(rule)) return undefined
  if (!isString(host) || !isString(directory)) return undefined
  const deadline = { childDeadlineMs: typeof childDeadlineMs === 'number' ? childDeadlineMs : undefined }
  return { fileName, tool, artefact, rule, host, directory, ...deadline }
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

function isString(value: unknown): value is string {
  return typeof value === 'string'
}
