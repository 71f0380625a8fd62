import { lstat, readdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArtefactName, partialName, sidecarName } from '../core/names'
import { chooseExpired, isStalePartial } from '../core/retention'
import { readSidecar } from './read-sidecar'
import type { ParsedName } from '../core/names'
import type { Evidence } from '../core/retention'
import { epochMs } from '../time/clock'

/** What was deleted, and what should have been. */
export interface Deletions {
  /** Full paths of what is gone, sidecars not counted. */
  readonly deleted: readonly string[]
  readonly failures: readonly { readonly file: string; readonly error: Error }[]
}

/**
 * Deletes the dumps of this host and directory beyond the newest `keep` of each kind of name, with their sidecars. Call
 * it after a good dump. Manual dumps, and everything that no readable sidecar calls ours, stay. Never rejects.
 *
 * @param directory - Absolute path, spelled as in the sidecars' `where.directory`.
 * @param keep - Dumps kept per kind of name; 0 keeps none, `false` keeps all and reads nothing.
 * @param only - The one kind of name to look after; all of them if absent.
 */
export async function deleteExpired(
  directory: string,
  host: string,
  keep: number | false,
  only?: ParsedName['prefix'],
): Promise<Deletions> {
  if (keep === false) return { deleted: [], failures: [] }
  return collect(directory, async (names) => {
    const sidecars = names.filter(
      ({ part, prefix }) => part === 'sidecar' && (only === undefined || prefix === only),
    )
    const evidence = await gather(sidecars, (name) => readPublished(directory, name.artefact))
    const expired = chooseExpired(evidence, keep, { host, directory })
    return expired.map((artefact) => ({ artefact, file: join(directory, artefact) }))
  })
}

/**
 * Deletes the `.partial` files that processes of this host left behind when they died, with their sidecars. Call it at
 * start. Never rejects.
 *
 * @param directory - Absolute path, spelled as in the sidecars' `where.directory`.
 * @param nowMs - Wall clock, ms since the epoch.
 */
export async function sweepStalePartials(directory: string, host: string, nowMs: number): Promise<Deletions> {
  return collect(directory, async (names) => {
    const partials = names.filter((name) => name.part === 'partial')
    return gather(partials, async (name) => {
      const file = join(directory, partialName(name.artefact))
      if (!(await isOwnFile(file))) return undefined
      const facts = await readSidecar(join(directory, sidecarName(name.artefact)), name.artefact)
      if (facts === undefined) return undefined
      const isStale = isStalePartial(facts, { host, directory }, writerLives(name), nowMs)
      return isStale ? { artefact: name.artefact, file } : undefined
    })
  })
}

interface Doomed {
  readonly artefact: string
  /** What has to go before the sidecar may: without a sidecar it would never be found again. */
  readonly file: string
}

async function collect(
  directory: string,
  choose: (names: ParsedName[]) => Promise<Doomed[]>,
): Promise<Deletions> {
  const deleted: string[] = []
  const failures: { file: string; error: Error }[] = []
  let file = directory
  try {
    const names = (await readdir(directory)).map(parseArtefactName).filter((name) => name !== undefined)
    for (const doomed of await choose(names)) {
      file = doomed.file
      try {
        if (await remove(file)) deleted.push(file)
        file = join(directory, sidecarName(doomed.artefact))
        if (!(await exists(join(directory, doomed.artefact)))) await remove(file)
      } catch (error) {
        failures.push({ file, error: error as Error })
      }
    }
  } catch (error) {
    failures.push({ file, error: error as Error })
  }
  return { deleted, failures }
}

/** @returns `false` when it is gone already: other processes look after the same directory. */
async function remove(file: string): Promise<boolean> {
  try {
    await unlink(file)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

/** A sidecar counts only beside its artefact: one that is being written, or was moved away by hand, is nobody's excess. */
async function readPublished(directory: string, artefact: string): Promise<Evidence | undefined> {
  if (!(await isOwnFile(join(directory, artefact)))) return undefined
  if (await exists(join(directory, partialName(artefact)))) return undefined
  return readSidecar(join(directory, sidecarName(artefact)), artefact)
}

async function isOwnFile(path: string): Promise<boolean> {
  try {
    const stats = await lstat(path)
    return stats.isFile() && (process.geteuid === undefined || stats.uid === process.geteuid())
  } catch {
    return false
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path)
    return true
  } catch {
    return false
  }
}

/** Whether the process that began a partial still runs. In a container the number is soon taken again, often by us. */
function writerLives({ pid, startedAtMs }: ParsedName): boolean {
  if (pid === process.pid) return startedAtMs >= epochMs() - process.uptime() * 1000
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

async function gather<From, To>(
  items: readonly From[],
  find: (item: From) => Promise<To | undefined>,
): Promise<To[]> {
  const found: To[] = []
  for (const item of items) {
    const one = await find(item)
    if (one !== undefined) found.push(one)
  }
  return found
}
