import { closeSync, fstatSync, lstatSync, type Stats, unlinkSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { parseJson } from '../../base/globals'
import { isOurs } from '../../files/expiry'
import { parseArtefactName, type ParsedName, sidecarName } from '../../files/names'
import { openOwn, readOwn } from '../../files/owners'
import { readOwnNames, readPublished } from '../../files/retention'
import { MAX_SIDECAR_BYTES, type Sidecar } from '../../files/sidecar'

/** A complete dump file that has not been uploaded. */
export interface Waiting {
  readonly name: ParsedName
  readonly sizeBytes: number
}

/** The configured path of a directory that is held open, and a path through its file descriptor. */
export interface Place {
  readonly directory: string
  /** Path `/proc/self/fd/<n>`, which leads to the directory even after a rename. Without /proc it is `directory`. */
  readonly place: string
}

/**
 * Lists the dump files of this host and user that wait to be uploaded, in the order in which they are uploaded.
 *
 * @param own - Full paths of files of this process's own dumps. They are found even if other users create so many files that the
 * directory is not read to its end.
 * @param isDone - Whether the file of this name is already in the bucket, or must never be uploaded.
 * @param onIncomplete - Called with the reason when not all of the directory was read.
 * @throws The file system's error.
 */
export async function listWaiting(
  { directory, place }: Place,
  host: string,
  own: ReadonlySet<string>,
  isDone: (artefact: string) => boolean,
  onIncomplete: (why: string) => void,
): Promise<Waiting[]> {
  const { names, incomplete } = await readOwnNames(place, 'sidecar')
  if (incomplete !== undefined) onIncomplete(incomplete)
  const all = new Map([...ownNames(own, directory), ...names].map((name) => [name.artefact, name]))
  const waiting = [...all.values()].flatMap((name) => {
    if (isDone(name.artefact)) return []
    const evidence = readPublished(place, name.artefact)
    if (!evidence || !isOurs(evidence, { host, directory })) return []
    const stats = lstatSync(join(place, name.artefact), { throwIfNoEntry: false })
    return stats ? [{ name, sizeBytes: stats.size }] : []
  })
  return inOrder(waiting)
}

function ownNames(own: ReadonlySet<string>, directory: string): ParsedName[] {
  const files = [...own].filter((file) => dirname(file) === directory)
  return files.flatMap((file) => parseArtefactName(basename(file)) ?? [])
}

/** Sorts the oldest dump first, and the smallest file of a dump first, so that at least one file is uploaded early. */
export function inOrder(waiting: readonly Waiting[]): Waiting[] {
  return [...waiting].sort(
    (one, other) => one.name.startedAtMs - other.name.startedAtMs || one.sizeBytes - other.sizeBytes,
  )
}

/**
 * Chooses the files to delete when waiting files exceed `maxBytes`, the oldest first. Manual dumps stay, because a person asked
 * for them, and so do the files of the newest dump.
 *
 * @param waiting - Waiting files, sorted by {@link inOrder}.
 */
export function chooseOverflow(waiting: readonly Waiting[], maxBytes: number): Waiting[] {
  const newest = waiting.at(-1)?.name.baseName
  let totalBytes = waiting.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  return waiting.filter(({ name, sizeBytes }) => {
    if (totalBytes <= maxBytes || name.rule === 'manual' || name.baseName === newest) return false
    totalBytes -= sizeBytes
    return true
  })
}

/** A dump file that is open for reading, and its sidecar (the `.json` that describes it). */
export interface OpenWaiting {
  readonly fd: number
  readonly stats: Stats
  readonly sidecarText: string
  readonly sidecar: Sidecar & { readonly reported?: unknown }
  /** Why this is not the file that the monitor wrote, if so. Such a file must not be uploaded. */
  readonly whyAnother: string | undefined
  close(): void
}

/**
 * Opens a waiting dump file for reading. Refuses symbolic links, files of other users and FIFOs that have taken its name.
 *
 * @returns `undefined` when one of the two is gone or belongs to another user, or when the sidecar describes another file.
 */
export function openWaiting(place: string, artefact: string): OpenWaiting | undefined {
  const sidecarText = readOwn(join(place, sidecarName(artefact)), MAX_SIDECAR_BYTES)
  const fd = openOwn(join(place, artefact))
  const close = (): void => void (fd !== undefined && closeSync(fd))
  try {
    const sidecar = parseJson(sidecarText ?? '') as OpenWaiting['sidecar']
    if (fd === undefined || sidecarText === undefined || sidecar.artefact !== artefact)
      throw new Error('gone')
    const stats = fstatSync(fd)
    return { fd, stats, sidecarText, sidecar, whyAnother: whyAnother(stats, sidecar), close }
  } catch {
    close()
    return undefined
  }
}

/**
 * Returns why a file is not the one that the monitor wrote, if its size shows that. Users who may rename files in the directory
 * can put another file of this user in its place. The inode is not compared, because it changes when a directory is restored.
 */
function whyAnother({ size }: Stats, { how }: Sidecar): string | undefined {
  if (size === how.sizeBytes) return undefined
  return `it has ${size} bytes, but ${how.sizeBytes} according to its .json`
}

/**
 * Deletes a dump file and its sidecar, unless another file has taken its name. The sidecar of a dump at V8's heap limit stays,
 * because the monitor counts such dumps by their sidecars.
 *
 * @returns `false` when one of the two could not be deleted or another file has the name; `true` also if the file was gone.
 */
export function deleteArtefact(place: string, name: ParsedName, stats: Pick<Stats, 'dev' | 'ino'>): boolean {
  try {
    const path = join(place, name.artefact)
    const found = lstatSync(path, { throwIfNoEntry: false })
    if (!found) return true
    if (found.ino !== stats.ino || found.dev !== stats.dev) return false
    unlinkSync(path)
    if (name.rule !== 'heap-limit') unlinkSync(join(place, sidecarName(name.artefact)))
    return true
  } catch {
    return false
  }
}
