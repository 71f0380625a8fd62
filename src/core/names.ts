/** What a dump holds. */
export type DumpKind = 'cpu' | 'memory'

/** What asked for a dump. */
export type DumpRule = 'threshold' | 'blocked' | 'leak' | 'manual' | 'heap-limit'

/** What an artefact's name tells about its dump. */
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
  /** Name without extension: what the artefacts of one dump share. */
  readonly baseName: string
  /** Full name of the artefact, whichever of its files was parsed. */
  readonly artefact: string
}

/** What an artefact's name ends in until it is whole. */
export const PARTIAL_SUFFIX = '.partial'

/** What is added to an artefact's full name for the file that describes it. */
export const SIDECAR_SUFFIX = '.json'

/** The extensions that a dump of each kind may have. */
export const EXTENSIONS: Readonly<Record<DumpKind, readonly ArtefactExtension[]>> = {
  cpu: ['.cpuprofile'],
  memory: ['.heapsnapshot', '.heapprofile'],
}

const SHAPE =
  /^(?:(?<rule>blocked|leak|manual|heap-limit)-)?(?<kind>cpu|memory)-(?<pid>\d{1,16})-(?<ms>\d{1,16})(?<extension>\.[a-z]+)(?<suffix>\.partial|\.json|)$/

const IMPOSSIBLE_PREFIXES: readonly string[] = ['leak-cpu', 'blocked-memory', 'heap-limit-cpu']

/**
 * Names a dump: `cpu-<pid>-<ms>`, with the rule in front when it is not the threshold.
 *
 * @returns The name that all artefacts of the dump share, without extension.
 */
export function artefactBaseName(dump: DumpName): string {
  return `${prefixOf(dump.kind, dump.rule)}-${dump.pid}-${dump.startedAtMs}`
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
 * Takes a file name apart. Strict on purpose: what parses may be deleted one day, so only names that
 * {@link artefactBaseName} builds for dumps that exist, in their one spelling, are recognised.
 *
 * @returns `undefined` for every name that is not ours.
 */
export function parseArtefactName(fileName: string): ParsedName | undefined {
  const groups = SHAPE.exec(fileName)?.groups
  if (groups === undefined) return undefined
  const kind = groups['kind'] as DumpKind
  const rule = (groups['rule'] ?? 'threshold') as DumpRule
  const dump = { kind, rule, pid: Number(groups['pid']), startedAtMs: Number(groups['ms']) }
  const extension = EXTENSIONS[kind].find((known) => known === groups['extension'])
  const prefix = prefixOf(kind, rule)
  if (extension === undefined || IMPOSSIBLE_PREFIXES.includes(prefix)) return undefined
  const baseName = artefactBaseName(dump)
  const artefact = baseName + extension
  const suffix = groups['suffix'] ?? ''
  // Numbers with leading zeros, or too large to be exact, do not come back as they were.
  if (artefact + suffix !== fileName) return undefined
  return { ...dump, part: partOf(suffix), extension, prefix, baseName, artefact }
}

function prefixOf(kind: DumpKind, rule: DumpRule): string {
  return rule === 'threshold' ? kind : `${rule}-${kind}`
}

function partOf(suffix: string): ParsedName['part'] {
  if (suffix === PARTIAL_SUFFIX) return 'partial'
  return suffix === SIDECAR_SUFFIX ? 'sidecar' : 'artefact'
}
