/** What a dump holds. */
export type DumpKind = 'cpu' | 'memory'

/** The reasons for a dump that are no rule of the user's. */
export const OWN_RULES = ['threshold', 'blocked', 'leak', 'manual', 'heap-limit'] as const

/** The reason for a dump: `threshold`, `blocked`, `leak`, `manual`, `heap-limit`, or the name of a rule. The intersection keeps the literals in completions. */
export type DumpRule = (typeof OWN_RULES)[number] | (string & {})

/** Names of the user's rules: letters, digits and inner hyphens, so that a file name can be taken apart again. */
export const RULE_NAME = /^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/

/** The dump that an artefact's name describes. */
export interface DumpName {
  readonly kind: DumpKind
  readonly rule: DumpRule
  /** The process that the dump is about. */
  readonly pid: number
  /** Wall clock at the start of the dump, ms since the epoch. */
  readonly startedAtMs: number
}

/** How an artefact's name ends; each names one format that Chrome DevTools opens. */
export type ArtefactExtension = '.cpuprofile' | '.heapsnapshot' | '.heapprofile'

/** A file name taken apart. */
export interface ParsedName extends DumpName {
  /** Which of the three files of an artefact this is. */
  readonly part: 'artefact' | 'partial' | 'sidecar'
  readonly extension: ArtefactExtension
  /** Kind and rule as they stand in the name, e.g. `leak-memory`. */
  readonly prefix: string
  /** Name without extension, worker and number: shared by the artefacts of one dump. */
  readonly baseName: string
  /** `threadId` of the worker thread that the artefact is about; absent for the main thread. */
  readonly worker?: number
  /** Full name of the artefact, whichever of its files was parsed. */
  readonly artefact: string
}

/** Suffix of an artefact's name until the artefact is whole. */
export const PARTIAL_SUFFIX = '.partial'

/** Suffix, to an artefact's full name, of the file that describes it. */
export const SIDECAR_SUFFIX = '.json'

/** The extensions of each kind of dump. */
export const EXTENSIONS: Readonly<Record<DumpKind, readonly ArtefactExtension[]>> = {
  cpu: ['.cpuprofile'],
  memory: ['.heapsnapshot', '.heapprofile'],
}

const SHAPE =
  /^(?:(?<rule>[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?)-)?(?<kind>cpu|memory)-(?<pid>\d{1,16})-(?<ms>\d{1,16})(?:-worker-(?<worker>\d{1,9}))?(?<number>-\d{1,9})?(?<extension>\.[a-z]+)(?<suffix>\.partial|\.json|)$/

const IMPOSSIBLE_PREFIXES: readonly string[] = ['leak-cpu', 'blocked-memory', 'heap-limit-cpu']

/**
 * Names a dump: `cpu-<pid>-<ms>`, with the rule in front when it is not the threshold.
 *
 * @returns The name that all artefacts of the dump share, without extension.
 */
export function artefactBaseName(dump: DumpName): string {
  return `${prefixOf(dump.kind, dump.rule)}-${dump.pid}-${dump.startedAtMs}`
}

/** Names an artefact of a dump: `cpu-7-1000.cpuprofile`, or of a worker thread `cpu-7-1000-worker-3.cpuprofile`. */
export function artefactName(baseName: string, extension: ArtefactExtension, worker?: number): string {
  return worker === undefined ? baseName + extension : `${baseName}-worker-${worker}${extension}`
}

/**
 * Another name for an artefact whose own name is taken: `cpu-7-1000-2.cpuprofile`.
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
 * Parses a file name. Strict on purpose, because retention may delete what parses: it accepts only names that
 * {@link artefactName} and {@link numberedName} build, in their one spelling.
 *
 * @returns `undefined` for every other name.
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
  // Numbers with leading zeros, or too large to be exact, do not survive the round trip.
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
