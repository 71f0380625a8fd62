import type { ParsedName } from './names'
import { parseArtefactName } from './names'

/** Value of `tool` in each sidecar (the `.json` beside an artefact) that this library has written. */
export const TOOL = 'cpu-memory-monitor'

/** Shortest deadline of a forked child, ms. A child is killed at its deadline. For a large heap the deadline is later. */
export const CHILD_DEADLINE_MS = 120_000
/**
 * Time that a forked child may take per MiB of heap, ms. A heap of small objects takes 90 to 110 ms per MiB
 * (`npm run bench -- heap-dump`); three times that is allowed.
 */
const DEADLINE_MS_PER_MIB = 300

/** Returns the deadline of a child for a snapshot of a heap of `usedBytes`, ms; it is doubled when the snapshot is redacted. */
export function childDeadlineMs(usedBytes: number, isRedacted = false): number {
  const deadlineMs = Math.max(CHILD_DEADLINE_MS, Math.ceil(usedBytes / (1024 * 1024)) * DEADLINE_MS_PER_MIB)
  return isRedacted ? 2 * deadlineMs : deadlineMs
}

/** Time after the forked child's deadline until its unfinished file (`.partial`) counts as stale, ms. */
export const STALE_GRACE_MS = 60_000

/** The fields of a sidecar that decide whether its artefact is kept or deleted. */
export interface Evidence {
  /** Name of the artefact according to the directory: the sidecar's own name without `.json`. */
  readonly fileName: string
  readonly tool: string
  /** Name of the artefact according to the sidecar. */
  readonly artefact: string
  readonly rule: string
  readonly host: string
  readonly directory: string
  /** Deadline of the forked child that writes the artefact, ms after the time in the artefact's name. Absent without a child. */
  readonly childDeadlineMs?: number | undefined
}

/** Host and directory in which artefacts may be deleted. Artefacts of other hosts and directories are not touched. */
export interface Place {
  readonly host: string
  /** Absolute path, spelled as in the sidecars. */
  readonly directory: string
}

/** Time at which artefacts are chosen for deletion, and the new dump after which they are chosen. */
export interface Occasion {
  /** Current wall-clock time, ms since the epoch. The times in file names are of the same clock. */
  readonly nowMs: number
  /** Base name of the dump that has just been made. It is kept, and it counts as the newest of its kind. */
  readonly made?: string | undefined
}

/**
 * Chooses the artefacts to delete. The newest dumps of each name prefix, such as `leak-memory`, stay. The artefacts of one
 * dump (a snapshot and its sampling profile) count once and are deleted together. A manual dump is never chosen, because a
 * person asked for it.
 *
 * @param keep - Number of dumps kept per name prefix; 0 keeps only the dump just made, `false` keeps all.
 * @returns Names of artefacts, oldest first.
 */
export function chooseExpired(
  evidence: readonly Evidence[],
  keep: number | false,
  place: Place,
  { nowMs, made }: Occasion,
): readonly string[] {
  if (keep === false) return []
  const names = evidence.filter((one) => isOurs(one, place) && one.rule !== 'manual').map(nameOf)
  // A dump with a time in the future was named before the clock was corrected: it counts as the oldest.
  const ageKey = ({ baseName, startedAtMs }: ParsedName): number => {
    if (baseName === made) return Infinity
    return startedAtMs > nowMs ? -1 : startedAtMs
  }
  return groupBy(names.filter(isAutomatic), (name) => name.prefix)
    .flatMap((sameKind) => dumpsNewestFirst(sameKind, ageKey).slice(keep).flat())
    .filter(({ baseName }) => baseName !== made)
    .sort((a, b) => ageKey(a) - ageKey(b))
    .map((name) => name.artefact)
}

/**
 * Whether an unfinished dump file (`.partial`) was left behind by a process that has ended: its writer no longer runs, and the
 * deadline of a forked child that may write on is over.
 *
 * @param evidence - Fields of its sidecar. A `.partial` without a sidecar is never deleted.
 * @param writerLives - Whether the process that wrote the file still runs. A CPU profile or a large snapshot may take
 * longer than any deadline, so the file of a running process is not stale.
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

/** Whether a sidecar names the artefact beside it and was written by this library on this host, in this directory. */
export function isOurs(evidence: Evidence, place: Place): boolean {
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

function dumpsNewestFirst(
  names: readonly ParsedName[],
  ageKey: (name: ParsedName) => number,
): ParsedName[][] {
  const keyOf = ([first]: readonly ParsedName[]): number => (first ? ageKey(first) : 0)
  return groupBy(names, (name) => name.baseName).sort((a, b) => keyOf(b) - keyOf(a))
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): T[][] {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const group = groups.get(keyOf(item))
    if (group) group.push(item)
    else groups.set(keyOf(item), [item])
  }
  return [...groups.values()]
}
