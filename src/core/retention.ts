import { parseArtefactName } from './names'
import type { ParsedName } from './names'

/** The word by which a sidecar says that its artefact is ours. */
export const TOOL = 'cpu-memory-monitor'

/** How long a forked child may work on a dump before it is killed, ms; for a large heap longer: {@link childDeadlineMs}. */
export const CHILD_DEADLINE_MS = 120_000
/** Three times what small objects take on a machine of our own: `npm run bench -- heap-dump` has 0.09 to 0.11 s. */
const DEADLINE_MS_PER_MIB = 300

/** How long a child may work on a snapshot of a heap of `usedBytes`, ms. */
export function childDeadlineMs(usedBytes: number): number {
  return Math.max(CHILD_DEADLINE_MS, Math.ceil(usedBytes / (1024 * 1024)) * DEADLINE_MS_PER_MIB)
}

/** How much longer than the child's deadline a `.partial` is left alone, ms. */
export const STALE_GRACE_MS = 60_000

/** What a sidecar says that decides about its artefact. */
export interface Evidence {
  /** Name of the artefact as the directory shows it: the sidecar's own name less `.json`. */
  readonly fileName: string
  readonly tool: string
  /** Name of the artefact as the sidecar has it. */
  readonly artefact: string
  readonly rule: string
  readonly host: string
  readonly directory: string
  /** Until when a child may work on it, if one does: ms from the time in its name. */
  readonly childDeadlineMs?: number | undefined
}

/** Where a choice is made; evidence from elsewhere is left alone. */
export interface Place {
  readonly host: string
  /** Absolute path, spelled as the sidecars spell it. */
  readonly directory: string
}

/**
 * Chooses the artefacts that have to go. The newest dumps of each kind of name stay; the artefacts of one dump (a snapshot
 * and its sampling profile) count once and go together. A manual dump is never chosen: somebody asked for it.
 *
 * @param keep - Dumps kept per kind of name; 0 keeps none, `false` keeps all.
 * @returns Names of artefacts, oldest first.
 */
export function chooseExpired(
  evidence: readonly Evidence[],
  keep: number | false,
  place: Place,
): readonly string[] {
  if (keep === false) return []
  const names = evidence.filter((one) => isOurs(one, place) && one.rule !== 'manual').map(nameOf)
  const kindsOfName = groupBy(names.filter(isAutomatic), (name) => name.prefix)
  return kindsOfName
    .flatMap((sameKind) => dumpsNewestFirst(sameKind).slice(keep).flat())
    .sort((a, b) => a.startedAtMs - b.startedAtMs)
    .map((name) => name.artefact)
}

/**
 * Tells whether a `.partial` was left behind by a process that is gone.
 *
 * @param evidence - What its sidecar says; without one it is not ours to judge.
 * @param writerLives - Whether the process that the sidecar names still runs here. A CPU profile may be longer, and a
 * large snapshot take longer, than any deadline: what a living process has begun is not stale.
 * @param nowMs - Wall clock, as in the names: ms since the epoch.
 */
export function isStalePartial(
  evidence: Evidence,
  place: Place,
  writerLives: boolean,
  nowMs: number,
): boolean {
  const name = nameOf(evidence)
  if (name === undefined || writerLives || !isOurs(evidence, place)) return false
  const deadlineMs = evidence.childDeadlineMs ?? CHILD_DEADLINE_MS
  return nowMs - name.startedAtMs > deadlineMs + STALE_GRACE_MS
}

function isOurs(evidence: Evidence, place: Place): boolean {
  return (
    evidence.tool === TOOL &&
    evidence.artefact === evidence.fileName &&
    evidence.host === place.host &&
    evidence.directory === place.directory
  )
}

function nameOf(evidence: Evidence): ParsedName | undefined {
  const name = parseArtefactName(evidence.fileName)
  return name?.part === 'artefact' ? name : undefined
}

function isAutomatic(name: ParsedName | undefined): name is ParsedName {
  return name !== undefined && name.rule !== 'manual'
}

function dumpsNewestFirst(names: readonly ParsedName[]): ParsedName[][] {
  const startOf = (dump: readonly ParsedName[]): number => dump[0]?.startedAtMs ?? 0
  return groupBy(names, (name) => name.baseName).sort((a, b) => startOf(b) - startOf(a))
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): T[][] {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const group = groups.get(keyOf(item)) ?? []
    groups.set(keyOf(item), [...group, item])
  }
  return [...groups.values()]
}
