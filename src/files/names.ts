/** What a dump shows: CPU use or memory use. */
export type DumpKind = 'cpu' | 'memory'

/** Reasons for a dump that the library itself defines; the user's own rules come in addition. */
export const OWN_RULES = ['threshold', 'blocked', 'leak', 'manual', 'heap-limit'] as const

/**
 * The reason for a dump: `threshold`, `blocked`, `leak`, `manual`, `heap-limit`, or the name of a user-defined
 * rule. The intersection with `{}` keeps the literals in an editor's completions.
 */
export type DumpRule = (typeof OWN_RULES)[number] | (string & {})

/** Allowed names of the user's rules: 1 to 32 lower-case letters, digits and inner hyphens, so that file names can be parsed. */
export const RULE_NAME = /^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/

/** Kind, rule, process and start time of a dump, from which its file names are built. */
export interface DumpName {
  readonly kind: DumpKind
  readonly rule: DumpRule
  /** The process that the dump is about. */
  readonly pid: number
  /** Wall clock at the start of the dump, ms since the epoch. */
  readonly startedAtMs: number
}

/** File name extension of an artefact. Each stands for one format that Chrome DevTools opens. */
export type ArtefactExtension = '.cpuprofile' | '.heapsnapshot' | '.heapprofile'

/** The parts of a parsed file name. */
export interface ParsedName extends DumpName {
  /** Which file this is: the finished artefact, the unfinished `.partial`, or the `.json` that describes it. */
  readonly part: 'artefact' | 'partial' | 'sidecar'
  readonly extension: ArtefactExtension
  /** First part of the name: rule and kind, such as `leak-memory`; for the rule `threshold` the kind alone, such as `cpu`. */
  readonly prefix: string
  /** Name without extension, worker thread and number: the same for all artefacts of one dump. */
  readonly baseName: string
  /** `threadId` of the worker thread that the artefact is about; absent for the main thread. */
  readonly worker?: number
  /** Full name of the artefact, even when the name of its `.partial` or `.json` was parsed. */
  readonly artefact: string
}

/** Suffix of an artefact's file name until the file is complete. */
export const PARTIAL_SUFFIX = '.partial'

/** Suffix that turns an artefact's full name into the name of its sidecar, the JSON file that describes the artefact. */
export const SIDECAR_SUFFIX = '.json'

/** The extensions that artefacts of each kind of dump can have. */
export const EXTENSIONS: Readonly<Record<DumpKind, readonly ArtefactExtension[]>> = {
  cpu: ['.cpuprofile'],
  memory: ['.heapsnapshot', '.heapprofile'],
}

const SHAPE =
  /^(?:(?<rule>[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?)-)?(?<kind>cpu|memory)-(?<pid>\d{1,16})-(?<ms>\d{1,16})(?:-worker-(?<worker>\d{1,9}))?(?<number>-\d{1,9})?(?<extension>\.[a-z]+)(?<suffix>\.partial|\.json|)$/

const IMPOSSIBLE_PREFIXES: readonly string[] = ['leak-cpu', 'blocked-memory', 'heap-limit-cpu']

/**
 * Builds the name of a dump, `cpu-<pid>-<ms>`, preceded by the rule unless that is `threshold`.
 *
 * @returns The name that all artefacts of the dump share, without extension.
 */
export function artefactBaseName(dump: DumpName): string {
  return `${prefixOf(dump.kind, dump.rule)}-${dump.pid}-${dump.startedAtMs}`
}

/** Builds the file name of an artefact: `cpu-7-1000.cpuprofile`, for a worker thread `cpu-7-1000-worker-3.cpuprofile`. */
export function artefactName(baseName: string, extension: ArtefactExtension, worker?: number): string {
  return worker === undefined ? baseName + extension : `${baseName}-worker-${worker}${extension}`
}

/**
 * Builds another name for an artefact whose own name is taken: `cpu-7-1000-2.cpuprofile`.
 *
 * @param number - From 2 to 999,999,999.
 */
export function numberedName(artefact: string, number: number): string {
  return artefact.replace(/(?=\.[a-z]+$)/, `-${number}`)
}

/** Name of an artefact while it is being written. */
export function partialName(artefact: string): string {
  return artefact + PARTIAL_SUFFIX
}

/** Name of the file that describes an artefact. */
export function sidecarName(artefact: string): string {
  return artefact + SIDECAR_SUFFIX
}

/**
 * Parses a file name. Strict, because files whose names parse may be deleted as old dumps: it accepts only names exactly as
 * {@link artefactName} and {@link numberedName} build them, and those with the suffix `.partial` or `.json`.
 *
 * @returns The parts of the name; `undefined` for every other name.
 */
export function parseArtefactName(fileName: string): ParsedName | undefined {
  const groups = SHAPE.exec(fileName)?.groups
  if (groups === undefined) return undefined
  const kind = groups['kind'] as DumpKind
  const rule = groups['rule'] ?? 'threshold'
  const dump = { kind, rule, pid: Number(groups['pid']), startedAtMs: Number(groups['ms']) }
  const extension = EXTENSIONS[kind].find((known) => known === groups['extension'])
  const prefix = prefixOf(kind, rule)
  if (extension === undefined || IMPOSSIBLE_PREFIXES.includes(prefix)) return undefined
  const baseName = artefactBaseName(dump)
  const number = groups['number']?.slice(1)
  const worker = groups['worker'] === undefined ? undefined : Number(groups['worker'])
  const name = artefactName(baseName, extension, worker)
  const artefact = number === undefined ? name : numberedName(name, Number(number))
  if (number !== undefined && Number(number) < 2) return undefined
  const suffix = groups['suffix'] ?? ''
  // The name is built again and compared: this rejects numbers with leading zeros or too large to be exact.
  if (artefact + suffix !== fileName) return undefined
  const thread = worker === undefined ? {} : { worker }
  return { ...dump, part: partOf(suffix), extension, prefix, baseName, ...thread, artefact }
}

function prefixOf(kind: DumpKind, rule: DumpRule): string {
  return rule === 'threshold' ? kind : `${rule}-${kind}`
}

function partOf(suffix: string): ParsedName['part'] {
  if (suffix === PARTIAL_SUFFIX) return 'partial'
  return suffix === SIDECAR_SUFFIX ? 'sidecar' : 'artefact'
}
