import { type BigIntStats, lstatSync, opendirSync, readlinkSync, statSync, unlinkSync } from 'node:fs'
import { basename, join } from 'node:path'
import { lookAtDescriptors, MOST_LOOKS } from '../base/descriptors'
import { ownOnly } from '../base/globals'
import { isOwn } from '../base/own-user'
import { epochMs, pause } from '../base/time'
import { readStartTicks, TICK_MS } from '../system/proc'
import { holdDirectory } from './directory'
import type { Evidence } from './expiry'
import { chooseExpired, isStalePartial } from './expiry'
import type { ParsedName } from './names'
import { parseArtefactName, PARTIAL_SUFFIX, partialName, SIDECAR_SUFFIX, sidecarName } from './names'
import { readSent } from './sent-list'
import { readSidecar } from './sidecar'

/** Maximum number of entries that are examined in one directory, files of other programs included. */
export const MAX_NAMES = 100_000
/** Maximum number of files of other users, named like dumps, in one directory. After more, the rest of it is not read. */
export const MAX_FOREIGN_NAMES = 5_000
/** Number of directory entries read in one step. {@link readOwnNames} lets the event loop run between two steps. */
const NAMES_AT_A_TIME = 256

/** The files that were deleted, and those that could not be. */
export interface Deletions {
  /** Full paths of the deleted files, without their sidecars. */
  readonly deleted: readonly string[]
  /** Messages for the operator about deleted files that are not in the list of uploaded files. */
  readonly losses?: readonly string[]
  readonly failures: readonly { readonly file: string; readonly error: Error }[]
  /** Why not all files to delete may have been found, such as that only a part of the directory was read. Absent if all were. */
  readonly incomplete?: string | undefined
}

/** Which dumps of a directory {@link deleteExpired} keeps. */
export interface Expiry {
  /** Number of dumps kept per name prefix such as `leak-memory`. 0: only the one just made. `false`: all; nothing is read. */
  readonly keep: number | false
  /** Full path of one file of the dump just made. No file of that dump is deleted. */
  readonly made?: string | undefined
  /** Delete only dumps with this name prefix, such as `leak-memory`; all if absent. */
  readonly only?: ParsedName['prefix']
  /** Whether this directory's dumps are uploaded. If so, {@link Deletions.losses} names files deleted before their upload. */
  readonly isSent?: boolean | undefined
}

/**
 * Deletes the dumps of this host in a directory, and their sidecars, except the newest `keep` dumps of each name prefix. The
 * sidecars of dumps at V8's heap limit stay, because the budget of such dumps counts them. Manual dumps stay too, and so does
 * every file without a readable sidecar of this library. Call it after a successful dump. Never rejects.
 *
 * @param directory - Absolute path, spelled as in the sidecars' `where.directory`.
 */
export async function deleteExpired(
  directory: string,
  host: string,
  { keep, made, only, isSent }: Expiry,
): Promise<Deletions> {
  if (keep === false) return { deleted: [], failures: [] }
  const deletions = await deleteChosen(directory, 'sidecar', (names, place) => {
    const asked = names.filter(({ prefix }) => only === undefined || prefix === only)
    const evidence = asked.map(({ artefact }) => readPublished(place, artefact)).filter(isThere)
    const occasion = { nowMs: epochMs(), made: made && parseArtefactName(basename(made))?.baseName }
    const expired = chooseExpired(evidence, keep, { host, directory }, occasion)
    return { doomed: expired.map((artefact) => ({ artefact, name: artefact })) }
  })
  if (!isSent) return deletions
  const names = deletions.deleted.map((file) => basename(file))
  return { ...deletions, losses: await lossesOf(names, keep, directory) }
}

async function lossesOf(names: readonly string[], keep: number, directory: string): Promise<string[]> {
  const unsentOf = (deleted: readonly string[]): string[] => {
    const sent = deleted.length === 0 ? [] : Object.values(readSent(directory)).flat()
    return deleted.filter((name) => !sent.includes(name))
  }
  const read = await deletedAndRead(unsentOf(names))
  // Read the list of sent files again: a file whose upload ended after the first look is no longer open, but is in the list.
  const unsent = unsentOf(names)
  const isRead = (name: string): boolean => read.has(name)
  const isUnread = (name: string): boolean => !read.has(name)
  const inWords = (files: readonly string[], adjective: string, circumstance: string, advice: string) => {
    if (files.length === 0) return []
    const count = files.length === 1 ? `1 ${adjective}file was` : `${files.length} ${adjective}files were`
    const why = `because the option keep is ${keep}${circumstance}`
    return [`${count} deleted in ${directory}, ${why}: ${files.join(', ')}; ${advice}`]
  }
  const whileRead = ', while being read by a process, perhaps for an upload'
  return [
    ...inWords(
      unsent.filter(isUnread),
      'unsent ',
      '',
      'with keep: false, unsent files are deleted only above maxBytes',
    ),
    ...inWords(
      unsent.filter(isRead),
      '',
      whileRead,
      'a file is lost unless a log line says that it was sent',
    ),
  ]
}

/**
 * Finds the deleted files that a process of this user still has open, such as a process that uploads them. If there are too many
 * open descriptors to examine all, the result may lack a file, which is then reported as deleted before its upload.
 */
async function deletedAndRead(names: readonly string[]): Promise<ReadonlySet<string>> {
  const read = new Set<string>()
  if (names.length === 0) return read
  await lookAtDescriptors((descriptor) => {
    const [, name] = /([^/]+) \(deleted\)$/.exec(readlinkSync(descriptor)) ?? []
    if (name !== undefined && names.includes(name)) read.add(name)
    return read.size === names.length
  })
  return read
}

/**
 * Deletes the `.partial` files of dead processes of this host, with their sidecars. Call it at start. Never rejects.
 *
 * @param directory - Absolute path, spelled as in the sidecars' `where.directory`.
 * @param nowMs - Wall clock, ms since the epoch.
 */
export async function sweepStalePartials(
  directory: string,
  host: string,
  nowMs: number,
  look = lookAtDescriptors,
): Promise<Deletions> {
  return deleteChosen(directory, 'partial', async (names, place) => {
    const stale = names.flatMap((each) => {
      const { artefact } = each
      const facts = readSidecar(join(place, sidecarName(artefact)), artefact)
      const isStale = facts && isStalePartial(facts, { host, directory }, writerLives(each), nowMs)
      return isStale ? [{ artefact, name: partialName(artefact) }] : []
    })
    // A file that a process has open is not deleted: a corrected clock can make a new file look old, and a forked child that
    // outlived its parent may still write to the file.
    const unopened = await openNowhereElse(stale, place, look)
    if (unopened) return { doomed: unopened }
    return { doomed: [], incomplete: `more than ${MOST_LOOKS} open files would have to be checked` }
  })
}

/** The `.partial` files, or the sidecars (`.json`), of dumps in a directory that belong to this process's user. */
export interface OwnNames {
  readonly names: readonly ParsedName[]
  /** Why the rest of the directory was not read. Absent if all of it was read. */
  readonly incomplete?: string | undefined
}

/**
 * Reads a directory and keeps only names of files that belong to this process's user. Names that another user creates in a
 * shared directory thus take bounded time and no memory. The reads are synchronous, with unref'd timers in between: a
 * pending asynchronous read would keep the process alive.
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

/**
 * Reads a directory without pauses, for a forked child, which has no event loop. Keeps only names of files that belong to this
 * process's user.
 *
 * @throws The file system's error.
 */
export function readOwnNamesNow(directory: string, part: 'partial' | 'sidecar'): OwnNames {
  const reading = readInPieces(directory, part)
  for (;;) {
    const { done, value } = reading.next()
    if (done) return value
  }
}

/** Reads a directory and keeps names of this user's files. Yields after every 256 entries, so that the caller can pause. */
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
          incomplete: `it holds more than ${MAX_FOREIGN_NAMES} files of other users that are named like dumps`,
        }
    }
    return { names }
  } finally {
    entries.closeSync()
  }
}

interface Doomed {
  readonly artefact: string
  /** Name of the file to delete. It is deleted before its sidecar: without a sidecar, a remaining file is never found again. */
  readonly name: string
}

/** The files to delete in a directory. `incomplete` is the reason if it could not be found out which files to delete. */
interface Choice {
  readonly doomed: readonly Doomed[]
  readonly incomplete?: string
}

async function deleteChosen(
  directory: string,
  part: 'partial' | 'sidecar',
  choose: (names: readonly ParsedName[], place: string) => Choice | Promise<Choice>,
): Promise<Deletions> {
  const deleted: string[] = []
  const failures: { file: string; error: Error }[] = []
  try {
    const held = holdDirectory(directory)
    try {
      const { names, incomplete } = await readOwnNames(held.place, part)
      const choice = await choose(names, held.place)
      for (const { artefact, name } of choice.doomed) {
        let doomed = name
        try {
          if (remove(join(held.place, doomed))) deleted.push(join(directory, doomed))
          doomed = sidecarName(artefact)
          if (!countsOn(artefact) && !exists(join(held.place, artefact))) remove(join(held.place, doomed))
        } catch (error) {
          failures.push({ file: join(directory, doomed), error: error as Error })
        }
      }
      return { deleted, failures, incomplete: incomplete ?? choice.incomplete }
    } finally {
      held.close()
    }
  } catch (error) {
    failures.push({ file: directory, error: error as Error })
    return { deleted, failures }
  }
}

/**
 * Whether the sidecar stays when its artefact is deleted. Sidecars of dumps at V8's heap limit stay, because a budget counts
 * them; `readHeapLimitDumps` removes them after the budget's interval.
 */
function countsOn(artefact: string): boolean {
  return parseArtefactName(artefact)?.rule === 'heap-limit'
}

/** Deletes a file. @returns `false` when it does not exist: other processes delete in the same directory. */
function remove(file: string): boolean {
  try {
    unlinkSync(file)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

/**
 * Reads the sidecar of a finished artefact. Returns `undefined` if the artefact is missing, still being written or a file of
 * another user, or if its sidecar cannot be read.
 */
export function readPublished(directory: string, artefact: string): Evidence | undefined {
  if (!isOwnFile(join(directory, artefact))) return undefined
  if (exists(join(directory, partialName(artefact)))) return undefined
  return readSidecar(join(directory, sidecarName(artefact)), artefact)
}

/** Whether a path is a regular file of this process's user. Never throws. */
export function isOwnFile(path: string): boolean {
  try {
    const stats = lstatSync(path)
    return stats.isFile() && isOwn(path, stats)
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

/** Tolerance when the start of a process is compared with the time in a file's name, ms: the kernel counts in ticks. */
const START_ERROR_MS = 1000

/**
 * Whether the process that created a `.partial` still runs. The kernel reuses process ids, for any user: a process that started
 * after the file was created is not its writer.
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

/**
 * Computes when another process started, ms since the epoch, from its distance to the start of this process: in LXC containers,
 * `/proc/<pid>/stat` does not count from the same moment as `/proc/uptime`. `undefined` without /proc.
 */
function startMsOf(pid: number): number | undefined {
  const [own, other] = [readStartTicks('/proc/self'), readStartTicks(`/proc/${pid}`)]
  if (own === undefined || other === undefined) return undefined
  return ownStartMs() + (other - own) * TICK_MS
}

/**
 * Returns those of the files that no other process of this user has open, such as a forked child that is writing one. `undefined`
 * when there are too many descriptors to find out: each of the files may be open then.
 */
async function openNowhereElse(
  files: readonly Doomed[],
  place: string,
  look: typeof lookAtDescriptors,
): Promise<readonly Doomed[] | undefined> {
  const idOf = (stats: BigIntStats | undefined): string | undefined => stats && `${stats.dev}:${stats.ino}`
  const sought = new Map(
    files.map((file) => [
      file,
      idOf(lstatSync(join(place, file.name), { bigint: true, throwIfNoEntry: false })),
    ]),
  )
  if (sought.size === 0) return []
  const ids = new Set(sought.values())
  const open = new Set<string | undefined>()
  const isComplete = await look((descriptor, pid) => {
    if (pid === process.pid) return false
    const id = idOf(statSync(descriptor, { bigint: true }))
    if (ids.has(id)) open.add(id)
    return open.size === ids.size
  })
  return isComplete ? files.filter((file) => !open.has(sought.get(file))) : undefined
}

function isThere<T>(value: T | undefined): value is T {
  return value !== undefined
}
