import { lstatSync, opendirSync, statSync, unlinkSync } from 'node:fs'
import { basename, join } from 'node:path'
import { hasDescriptor } from '../base/descriptors'
import { ownOnly } from '../base/globals'
import { epochMs, pause } from '../base/time'
import { readStartTicks, TICK_MS } from '../system/proc'
import { holdDirectory } from './directory'
import type { Evidence } from './expiry'
import { chooseExpired, isStalePartial } from './expiry'
import type { ParsedName } from './names'
import { parseArtefactName, PARTIAL_SUFFIX, partialName, SIDECAR_SUFFIX, sidecarName } from './names'
import { readSent } from './sent-list'
import { readSidecar } from './sidecar'

/** Most names that are examined in one directory, files of other programs included. */
export const MAX_NAMES = 100_000
/** After this many names of other users' files that look like dumps, the rest of a directory is not read. */
export const MAX_FOREIGN_NAMES = 5_000
/** Names read from a directory at a time. Other work of the thread runs between two reads. */
const NAMES_AT_A_TIME = 256

/** The files that were deleted, and those that could not be. */
export interface Deletions {
  /** Full paths of the deleted files, sidecars not counted. */
  readonly deleted: readonly string[]
  /** What the operator should read of deleted files that were to be sent, and were not. */
  readonly loss?: string | undefined
  readonly failures: readonly { readonly file: string; readonly error: Error }[]
  /** Set when the directory holds too many names, or too many of other users, so that own files may remain. */
  readonly incomplete?: string | undefined
}

/** A choice among the dumps in a directory. */
export interface Expiry {
  /** Dumps kept per kind of name; 0 keeps only the one just made, `false` keeps all and reads nothing. */
  readonly keep: number | false
  /** Full path of a file of the dump just made, which is not deleted. */
  readonly made?: string | undefined
  /** The one kind of name to delete; all of them if absent. */
  readonly only?: ParsedName['prefix']
  /** The dumps of the directory are sent: {@link Deletions.loss} names those that were not, by the list of what was. */
  readonly isSent?: boolean | undefined
}

/**
 * Deletes the dumps of this host and directory beyond the newest `keep` of each kind of name, with their sidecars; those
 * of dumps at V8's heap limit stay, because they count for a budget. To be called after a good dump. Manual dumps, and
 * everything without a readable sidecar of this library, stay. Never rejects.
 *
 * @param directory - Absolute path, spelled as in the sidecars' `where.directory`.
 */
export async function deleteExpired(
  directory: string,
  host: string,
  { keep, made, only, isSent }: Expiry,
): Promise<Deletions> {
  if (keep === false) return { deleted: [], failures: [] }
  let sent: readonly string[] = []
  const deletions = await deleteChosen(directory, 'sidecar', (names, place) => {
    const asked = names.filter(({ prefix }) => only === undefined || prefix === only)
    const evidence = asked.map(({ artefact }) => readPublished(place, artefact)).filter(isThere)
    const occasion = { nowMs: epochMs(), made: made && parseArtefactName(basename(made))?.baseName }
    const expired = chooseExpired(evidence, keep, { host, directory }, occasion)
    if (isSent && expired.length > 0) sent = Object.values(readSent(place)).flat()
    return expired.map((artefact) => ({ artefact, name: artefact }))
  })
  if (!isSent) return deletions
  const unsent = deletions.deleted.filter((file) => !sent.includes(basename(file)))
  return { ...deletions, loss: lossOf(unsent, keep, directory) }
}

function lossOf(unsent: readonly string[], keep: number, directory: string): string | undefined {
  const { length: count } = unsent
  if (count === 0) return undefined
  const files = count === 1 ? '1 unsent file was' : `${count} unsent files were`
  const names = unsent.map((file) => basename(file)).join(', ')
  return `${files} deleted in ${directory}, because keep is ${keep}: ${names}; keep: false leaves them to maxBytes`
}

/**
 * Deletes the `.partial` files of dead processes of this host, with their sidecars. To be called at start. Never rejects.
 *
 * @param directory - Absolute path, spelled as in the sidecars' `where.directory`.
 * @param nowMs - Wall clock, ms since the epoch.
 */
export async function sweepStalePartials(directory: string, host: string, nowMs: number): Promise<Deletions> {
  return deleteChosen(directory, 'partial', (names, place) =>
    names.flatMap((each) => {
      const { artefact } = each
      const facts = readSidecar(join(place, sidecarName(artefact)), artefact)
      const name = partialName(artefact)
      const isStale = facts && isStalePartial(facts, { host, directory }, writerLives(each), nowMs)
      // A clock that was put right makes a file look old whose writer has just begun: a child that outlived its parent.
      return isStale && !isOpenElsewhere(join(place, name)) ? [{ artefact, name }] : []
    }),
  )
}

/** The names of one kind in a directory whose files belong to this process's user. */
export interface OwnNames {
  readonly names: readonly ParsedName[]
  /** Why the rest of the directory was not read, if so. */
  readonly incomplete?: string | undefined
}

/**
 * Reads a directory one name at a time and keeps only names of files that belong to this process's user, so that names
 * that another user plants in a shared directory cost bounded time and no memory. Synchronous between unref'd timers: a
 * pending request to the file system would keep the process alive.
 *
 * @throws The file system's error.
 */
export async function readOwnNames(directory: string, part: 'partial' | 'sidecar'): Promise<OwnNames> {
  const reading = readInPieces(directory, part)
  for (;;) {
    const { done, value } = reading.next()
    if (done) return value
    await pause(0)
  }
}

/** {@link readOwnNames} within the call, for a forked child. */
export function readOwnNamesNow(directory: string, part: 'partial' | 'sidecar'): OwnNames {
  const reading = readInPieces(directory, part)
  for (;;) {
    const { done, value } = reading.next()
    if (done) return value
  }
}

/** Yields after each piece. */
function* readInPieces(directory: string, part: 'partial' | 'sidecar'): Generator<undefined, OwnNames> {
  const names: ParsedName[] = []
  const suffix = part === 'partial' ? PARTIAL_SUFFIX : SIDECAR_SUFFIX
  let [seen, foreign] = [0, 0]
  const entries = opendirSync(directory, ownOnly({ bufferSize: NAMES_AT_A_TIME }))
  try {
    for (let entry = entries.readSync(); entry !== null; entry = entries.readSync()) {
      if (++seen > MAX_NAMES) return { names, incomplete: `it holds more than ${MAX_NAMES} names` }
      if (seen % NAMES_AT_A_TIME === 0) yield
      const name = entry.name.endsWith(suffix) ? parseArtefactName(entry.name) : undefined
      if (name?.part !== part) continue
      if (isOwnFile(join(directory, entry.name))) names.push(name)
      else if (++foreign > MAX_FOREIGN_NAMES)
        return {
          names,
          incomplete: `it holds more than ${MAX_FOREIGN_NAMES} such names of other users' files`,
        }
    }
    return { names }
  } finally {
    entries.closeSync()
  }
}

interface Doomed {
  readonly artefact: string
  /** The file, deleted before its sidecar: without the sidecar it would never be found again. */
  readonly name: string
}

async function deleteChosen(
  directory: string,
  part: 'partial' | 'sidecar',
  choose: (names: readonly ParsedName[], place: string) => readonly Doomed[],
): Promise<Deletions> {
  const deleted: string[] = []
  const failures: { file: string; error: Error }[] = []
  try {
    const held = holdDirectory(directory)
    try {
      const { names, incomplete } = await readOwnNames(held.place, part)
      for (const { artefact, name } of choose(names, held.place)) {
        let doomed = name
        try {
          if (remove(join(held.place, doomed))) deleted.push(join(directory, doomed))
          doomed = sidecarName(artefact)
          if (!countsOn(artefact) && !exists(join(held.place, artefact))) remove(join(held.place, doomed))
        } catch (error) {
          failures.push({ file: join(directory, doomed), error: error as Error })
        }
      }
      return { deleted, failures, incomplete }
    } finally {
      held.close()
    }
  } catch (error) {
    failures.push({ file: directory, error: error as Error })
    return { deleted, failures }
  }
}

/**
 * Whether the sidecar stays without its artefact. The budget of dumps at V8's heap limit counts sidecars, and must not be
 * renewed by `keep`; `readHeapLimitDumps` removes them after the budget's interval.
 */
function countsOn(artefact: string): boolean {
  return parseArtefactName(artefact)?.rule === 'heap-limit'
}

/** @returns `false` when it does not exist: other processes delete in the same directory. */
function remove(file: string): boolean {
  try {
    unlinkSync(file)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

/** A sidecar counts only beside its artefact: that of a file still being written, or moved away by hand, does not. */
export function readPublished(directory: string, artefact: string): Evidence | undefined {
  if (!isOwnFile(join(directory, artefact))) return undefined
  if (exists(join(directory, partialName(artefact)))) return undefined
  return readSidecar(join(directory, sidecarName(artefact)), artefact)
}

function isOwnFile(path: string): boolean {
  try {
    const stats = lstatSync(path)
    return stats.isFile() && (process.geteuid === undefined || stats.uid === process.geteuid())
  } catch {
    return false
  }
}

function exists(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined
  } catch {
    return false
  }
}

/** Longest time by which the start of a process, in whole ticks, may seem later than a file that it began, ms. */
const START_ERROR_MS = 1000

/**
 * Whether the process that began a partial still runs. Its number is soon used again: in a container often by this process, elsewhere
 * by any user, who keeps it as long as he likes.
 */
function writerLives({ pid, startedAtMs }: ParsedName): boolean {
  if (pid === process.pid) return startedAtMs >= ownStartMs()
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false
  }
  return (startMsOf(pid) ?? 0) <= startedAtMs + START_ERROR_MS
}

function ownStartMs(): number {
  return epochMs() - process.uptime() * 1000
}

/** Counted from the start of this process: LXC shows another uptime of the machine than the one that `stat` counts from. */
function startMsOf(pid: number): number | undefined {
  const [own, other] = [readStartTicks('/proc/self'), readStartTicks(`/proc/${pid}`)]
  if (own === undefined || other === undefined) return undefined
  return ownStartMs() + (other - own) * TICK_MS
}

/** Whether another process of this user has the file open, as a forked child has the one that it writes. */
function isOpenElsewhere(path: string): boolean {
  const file = lstatSync(path, { bigint: true, throwIfNoEntry: false })
  if (!file) return false
  return hasDescriptor((descriptor, pid) => {
    if (pid === process.pid) return false
    const { dev, ino } = statSync(descriptor, { bigint: true })
    return dev === file.dev && ino === file.ino
  })
}

function isThere<T>(value: T | undefined): value is T {
  return value !== undefined
}
