import { lstatSync, unlinkSync } from 'node:fs'
import { opendir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { PARTIAL_SUFFIX, SIDECAR_SUFFIX, parseArtefactName, partialName, sidecarName } from './names'
import { chooseExpired, isStalePartial } from './expiry'
import { readSidecar } from './read-sidecar'
import type { ParsedName } from './names'
import type { Evidence } from './expiry'
import { epochMs } from '../base/clock'

/** Names in one directory that are examined at most, whatever they are. */
export const MAX_NAMES = 100_000
/** Names like ours, but of other users, after which the rest of a directory is left alone. */
export const MAX_FOREIGN_NAMES = 5_000
/** Names read from a directory at a time. Between two readings other work of the thread gets its turn. */
const NAMES_AT_A_TIME = 256

/** The files that were deleted, and those that could not be. */
export interface Deletions {
  /** Full paths of the deleted files, sidecars not counted. */
  readonly deleted: readonly string[]
  readonly failures: readonly { readonly file: string; readonly error: Error }[]
  /** Set when the directory holds too many names, or too many of other users, so that files of ours may remain. */
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
}

/**
 * Deletes the dumps of this host and directory beyond the newest `keep` of each kind of name, with their sidecars. To be
 * called after a good dump. Manual dumps, and everything without a readable sidecar of ours, stay. Never rejects.
 *
 * @param directory - Absolute path, spelled as in the sidecars' `where.directory`.
 */
export async function deleteExpired(
  directory: string,
  host: string,
  { keep, made, only }: Expiry,
): Promise<Deletions> {
  if (keep === false) return { deleted: [], failures: [] }
  return deleteChosen(directory, 'sidecar', (names) => {
    const asked = names.filter(({ prefix }) => only === undefined || prefix === only)
    const evidence = asked.map(({ artefact }) => readPublished(directory, artefact)).filter(isThere)
    const occasion = { nowMs: epochMs(), made: made && parseArtefactName(basename(made))?.baseName }
    const expired = chooseExpired(evidence, keep, { host, directory }, occasion)
    return expired.map((artefact) => ({ artefact, file: join(directory, artefact) }))
  })
}

/**
 * Deletes the `.partial` files of dead processes of this host, with their sidecars. To be called at start. Never rejects.
 *
 * @param directory - Absolute path, spelled as in the sidecars' `where.directory`.
 * @param nowMs - Wall clock, ms since the epoch.
 */
export async function sweepStalePartials(directory: string, host: string, nowMs: number): Promise<Deletions> {
  return deleteChosen(directory, 'partial', (names) =>
    names.flatMap((name) => {
      const { artefact } = name
      const facts = readSidecar(join(directory, sidecarName(artefact)), artefact)
      const isStale = facts && isStalePartial(facts, { host, directory }, writerLives(name), nowMs)
      return isStale ? [{ artefact, file: join(directory, partialName(artefact)) }] : []
    }),
  )
}

/** The names of one kind in a directory whose files belong to this process's user. */
export interface OwnNames {
  readonly names: readonly ParsedName[]
  /** Why the rest of the directory was left alone, if it was. */
  readonly incomplete?: string | undefined
}

/**
 * Reads a directory one name at a time and keeps only names of files that belong to this process's user, so that names
 * that another user plants in a shared directory cost bounded time and no memory.
 *
 * @throws The file system's error.
 */
export async function readOwnNames(directory: string, part: 'partial' | 'sidecar'): Promise<OwnNames> {
  const names: ParsedName[] = []
  const suffix = part === 'partial' ? PARTIAL_SUFFIX : SIDECAR_SUFFIX
  let [seen, foreign] = [0, 0]
  for await (const { name: fileName } of await opendir(directory, { bufferSize: NAMES_AT_A_TIME })) {
    if (++seen > MAX_NAMES) return { names, incomplete: `it holds more than ${MAX_NAMES} names` }
    const name = fileName.endsWith(suffix) ? parseArtefactName(fileName) : undefined
    if (name?.part !== part) continue
    if (isOwnFile(join(directory, fileName))) names.push(name)
    else if (++foreign > MAX_FOREIGN_NAMES)
      return { names, incomplete: `it holds more than ${MAX_FOREIGN_NAMES} such names that are not ours` }
  }
  return { names }
}

interface Doomed {
  readonly artefact: string
  /** Deleted before the sidecar: without its sidecar it would never be found again. */
  readonly file: string
}

async function deleteChosen(
  directory: string,
  part: 'partial' | 'sidecar',
  choose: (names: readonly ParsedName[]) => readonly Doomed[],
): Promise<Deletions> {
  const deleted: string[] = []
  const failures: { file: string; error: Error }[] = []
  let file = directory
  try {
    const { names, incomplete } = await readOwnNames(directory, part)
    for (const doomed of choose(names)) {
      file = doomed.file
      try {
        if (remove(file)) deleted.push(file)
        file = join(directory, sidecarName(doomed.artefact))
        if (!exists(join(directory, doomed.artefact))) remove(file)
      } catch (error) {
        failures.push({ file, error: error as Error })
      }
    }
    return { deleted, failures, incomplete }
  } catch (error) {
    failures.push({ file, error: error as Error })
    return { deleted, failures }
  }
}

/** @returns `false` when it is gone already: other processes look after the same directory. */
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
function readPublished(directory: string, artefact: string): Evidence | undefined {
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

/** Whether the process that began a partial still runs. In a container the same pid is soon used again, often by us. */
function writerLives({ pid, startedAtMs }: ParsedName): boolean {
  if (pid === process.pid) return startedAtMs >= epochMs() - process.uptime() * 1000
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function isThere<T>(value: T | undefined): value is T {
  return value !== undefined
}
