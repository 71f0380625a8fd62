import { createHash } from 'node:crypto'
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { parseJson, toJson } from '../../../base/globals'
import { listWithin, within } from '../../../files/directory'
import { createUnderAnyName, isOutOfSpace } from '../../../files/disk'
import { CHILD_DEADLINE_MS, STALE_GRACE_MS, TOOL } from '../../../files/expiry'
import { parseArtefactName, type ParsedName, partialName, sidecarName } from '../../../files/names'
import { isOwnAlone } from '../../../files/owners'
import { serialise } from '../../../files/partial'
import { isOwnFile, readOwnNames, readOwnNamesNow } from '../../../files/retention'
import { type DraftSidecar, MAX_SIDECAR_BYTES, type Sidecar } from '../../../files/sidecar'

/** A dump that a process of this host has made, or is making, at its V8 heap limit. */
export interface HeapLimitDump {
  readonly pid: number
  readonly startedAtMs: number
  /** Complete files of the dump that no process has reported yet, the snapshot first. */
  readonly unreported: readonly { readonly file: string; readonly sidecar: Sidecar }[]
  /** Whether a forked child may still be writing one of the dump's files. */
  readonly isBeingWritten: boolean
}

/** A dump at the heap limit, with paths that can be deleted while the directory of the dump is held open. */
interface FoundDump extends HeapLimitDump {
  /** Paths of sidecars (`.json`) whose dump file is gone or was never finished. They serve only to count dumps for the budget. */
  readonly bareSidecars: readonly string[]
}

/** Ending of a claim's name. A claim is a file that one process creates while it marks a sidecar (`.json`) as reported. */
const CLAIM_SUFFIX = '.reported'
/** Age at which a claim (it exists while a process marks a sidecar) counts as left behind by a dead process, ms. */
const STALE_CLAIM_MS = 60_000

type Marked = (DraftSidecar | Sidecar) & { readonly reported?: unknown }

/**
 * Lists the dumps at the heap limit that processes of this host began in a directory, oldest first. They are found by their
 * sidecars (`.json`). Never rejects: a directory that cannot be read counts as empty.
 *
 * The budget limits the dumps per interval. A sidecar without a dump file still counts as a dump, because the option `keep` and
 * an upload delete only the dump file, and must not make room for another dump. It is deleted when the interval has passed
 * since the dump; if that fails, the next call tries again. The directory is held open, so nothing is deleted elsewhere if its
 * name leads to another directory meanwhile.
 *
 * @param intervalMs - Interval of the budget, ms.
 * @param onIncomplete - Called with the reason when not all of the directory was read.
 */
export async function readHeapLimitDumps(
  directory: string,
  host: string,
  nowMs: number,
  intervalMs: number,
  onIncomplete: (why: string) => void = () => undefined,
): Promise<readonly HeapLimitDump[]> {
  return listWithin(directory, async (place) => {
    const { names, incomplete } = await readOwnNames(place, 'sidecar')
    if (incomplete !== undefined) onIncomplete(incomplete)
    const dumps = dumpsOf(names, { directory, place, host }, nowMs)
    const spent = dumps.filter((dump) => !dump.isBeingWritten && dump.startedAtMs <= nowMs - intervalMs)
    for (const file of spent.flatMap((dump) => dump.bareSidecars)) removeQuietly(file)
    return dumps
  })
}

/**
 * Lists complete dumps at the heap limit that are kept as a `.partial`, because all their names were taken or refused. Such a
 * file has no sidecar (`.json`), unlike a `.partial` that is being written. The child that made the dump could not report it.
 * Never rejects: a directory that cannot be read counts as empty.
 */
export async function readKeptDumps(directory: string): Promise<readonly string[]> {
  return listWithin(directory, async (place) => {
    const { names } = await readOwnNames(place, 'partial')
    // Check the `.partial` last. A file that gets its final name loses its `.partial` before the sidecar. In the other order, it
    // would count as kept if it gets its name between the two checks.
    const isKept = ({ rule, artefact }: ParsedName): boolean =>
      rule === 'heap-limit' &&
      !isOwnFile(join(place, sidecarName(artefact))) &&
      isThere(join(place, partialName(artefact)))
    return names.filter(isKept).map(({ artefact }) => join(directory, partialName(artefact)))
  })
}

/**
 * Lists the dumps at the heap limit that processes of this host began in a directory, oldest first. Synchronous, for a forked
 * child that counts them for the budget. Deletes nothing. Never throws: a directory that cannot be read counts as empty.
 */
export function readHeapLimitDumpsNow(
  directory: string,
  host: string,
  nowMs: number,
): readonly HeapLimitDump[] {
  try {
    return within(directory, (place) =>
      dumpsOf(readOwnNamesNow(place, 'sidecar').names, { directory, place, host }, nowMs),
    )
  } catch {
    return []
  }
}

function dumpsOf(
  names: readonly ParsedName[],
  { directory, place, host }: { readonly directory: string; readonly place: string; readonly host: string },
  nowMs: number,
): readonly FoundDump[] {
  const dumps = new Map<string, Described[]>()
  for (const { rule, artefact, baseName } of names) {
    const sidecar = rule === 'heap-limit' ? readOwn(directory, place, artefact) : undefined
    if (sidecar?.where.host !== host) continue
    const described = { file: join(directory, artefact), reached: join(place, artefact), sidecar }
    dumps.set(baseName, [...(dumps.get(baseName) ?? []), described])
  }
  return [...dumps.values()]
    .map((described) => dumpOf(described, nowMs))
    .sort((one, other) => one.startedAtMs - other.startedAtMs)
}

/**
 * Counts the dumps that began within the last `intervalMs`, the interval of the budget. A dump with a time in the future, made
 * before the clock was set back, does not count: otherwise it could cause refusals until that time.
 */
export function countRecentDumps(
  dumps: readonly Pick<HeapLimitDump, 'startedAtMs'>[],
  nowMs: number,
  intervalMs: number,
): number {
  return dumps.filter(({ startedAtMs }) => startedAtMs > nowMs - intervalMs && startedAtMs <= nowMs).length
}

/**
 * Marks the sidecar (`.json`) of a dump's file as reported, so that only one process reports the file.
 *
 * If several processes start at the same time, one of them succeeds. It creates a file, the claim, which only one process
 * can create, writes the marked text to it, and renames it over the sidecar. The claim's name is derived from the text of
 * the sidecar, which other users cannot read: in a shared directory they could occupy a name that they can guess. The text
 * is not synced, because this can run on the application's thread and a sync can take long on a busy disk. After a power
 * failure the dump may be reported again, or have an empty sidecar.
 *
 * @returns `false` when the file has been reported, is being reported by another process, or cannot be marked.
 */
export function claimReport(file: string, pid: number, nowMs: number): boolean {
  try {
    return within(dirname(file), (place) => claim(join(place, basename(file)), pid, nowMs))
  } catch {
    return false
  }
}

function claim(file: string, pid: number, nowMs: number): boolean {
  const sidecarPath = sidecarName(file)
  const unclaimed = readSidecarWhole(sidecarPath)
  if (!unclaimed || unclaimed.reported !== undefined) return false
  const text = toJson(unclaimed)
  let tried = 0
  const nameAnew = (): string => {
    // All processes try the same names in the same order.
    const secret = createHash('sha256')
      .update(text + '\n'.repeat(tried++))
      .digest('hex')
      .slice(0, 32)
    const name = `${sidecarPath}.${secret}${CLAIM_SUFFIX}`
    removeStale(name, nowMs)
    return name
  }
  const created = createOrNothing(nameAnew)
  if (created === undefined) return false
  const { path: claimed, fd: descriptor } = created
  try {
    // Read the sidecar again: another process may have marked it before the claim was created here.
    const sidecar = readSidecarWhole(sidecarPath)
    if (!sidecar || sidecar.reported !== undefined) throw new Error('reported already')
    const reported = { at: new Date(nowMs).toISOString(), pid }
    writeFileSync(descriptor, serialise({ ...sidecar, reported }))
    renameSync(claimed, sidecarPath)
    return true
  } catch {
    removeQuietly(claimed)
    return false
  } finally {
    closeSync(descriptor)
  }
}

function createOrNothing(nameAnew: () => string): ReturnType<typeof createUnderAnyName> | undefined {
  try {
    return createUnderAnyName(nameAnew, isOutOfSpace)
  } catch {
    return undefined
  }
}

interface Described {
  readonly file: string
  /** Path of the same file through the open descriptor of its directory. */
  readonly reached: string
  readonly sidecar: Marked
}

function dumpOf(described: readonly Described[], nowMs: number): FoundDump {
  const name = parseArtefactName(basename(described[0]?.file ?? ''))
  const [pid, startedAtMs] = [name?.pid ?? 0, name?.startedAtMs ?? 0]
  const unreported = described
    .flatMap(({ file, reached, sidecar }) => (isNews(reached, sidecar) ? [{ file, sidecar }] : []))
    .sort((one, other) => Number(isSnapshot(other.file)) - Number(isSnapshot(one.file)))
  const isInTime = ({ sidecar }: Described): boolean => {
    const deadlineMs = Number(sidecar.where.limits['childDeadlineMs'] ?? CHILD_DEADLINE_MS)
    return nowMs - startedAtMs <= deadlineMs + STALE_GRACE_MS
  }
  const isBeingWritten = described.some((each) => isInTime(each) && isThere(partialName(each.reached)))
  // A recent sidecar without its dump file is not bare: a process that writes a dump creates the sidecar first.
  const bareSidecars = described
    .filter((each) => !isInTime(each) && !isThere(each.reached) && !isThere(partialName(each.reached)))
    .map(({ reached }) => sidecarName(reached))
  return { pid, startedAtMs, unreported, isBeingWritten, bareSidecars }
}

function isNews(file: string, sidecar: Marked): sidecar is Sidecar {
  return 'how' in sidecar && sidecar.reported === undefined && isThere(file) && !isThere(partialName(file))
}

const isSnapshot = (file: string): boolean => file.endsWith('.heapsnapshot')
const isThere = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined

/** Reads the sidecar (`.json`) of a dump's file; `undefined` unless this library wrote the file into this directory. */
function readOwn(directory: string, place: string, artefact: string): Marked | undefined {
  const sidecar = readSidecarWhole(join(place, sidecarName(artefact)))
  const isOurs =
    sidecar?.tool === TOOL && sidecar.artefact === artefact && sidecar.where.directory === directory
  return isOurs ? sidecar : undefined
}

/**
 * Reads all of a sidecar (`.json`). Follows no symbolic link, and returns `undefined` for a file of another user. Never throws.
 */
function readSidecarWhole(path: string): Marked | undefined {
  let descriptor: number | undefined
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    const stats = fstatSync(descriptor)
    if (!isOwnAlone(path, stats) || stats.size > MAX_SIDECAR_BYTES) return undefined
    const json = parseJson(readFileSync(descriptor, 'utf8')) as Partial<Marked> | null
    const { host, limits }: Partial<Marked['where']> = json?.where ?? {}
    const isSidecar = typeof host === 'string' && typeof limits === 'object' && (limits as unknown) !== null
    return isSidecar ? (json as Marked) : undefined
  } catch {
    return undefined
  } finally {
    if (descriptor !== undefined) closeSync(descriptor)
  }
}

function removeStale(claim: string, nowMs: number): void {
  try {
    // The difference counts in either direction, because the clock may have been set back.
    if (Math.abs(nowMs - lstatSync(claim).mtimeMs) > STALE_CLAIM_MS) unlinkSync(claim)
  } catch {
    // There is no such claim, or it cannot be removed.
  }
}

function removeQuietly(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // Another process has removed the file, or a later call removes it because of its age.
  }
}
