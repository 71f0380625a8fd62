import { closeSync, fstatSync, lstatSync, type Stats, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { parseJson } from '../../base/globals'
import { isOurs } from '../../files/expiry'
import { type ParsedName, sidecarName } from '../../files/names'
import { openOwn, readOwn } from '../../files/own'
import { readOwnNames, readPublished } from '../../files/retention'
import type { Sidecar } from '../../files/sidecar'

/** An artefact that lies whole in a directory and has not been sent. */
export interface Waiting {
  readonly name: ParsedName
  readonly sizeBytes: number
}

/** A directory that is held, and its name. */
export interface Place {
  readonly directory: string
  /** A path that leads to it whatever its name leads to by now. */
  readonly place: string
}

/**
 * The artefacts of this host and user that wait to be sent, in the order in which they are sent.
 *
 * @param isDone - Whether an artefact of this name is in the bucket, or is never to be sent.
 * @throws The file system's error.
 */
export async function listWaiting(
  { directory, place }: Place,
  host: string,
  isDone: (artefact: string) => boolean,
): Promise<Waiting[]> {
  const { names } = await readOwnNames(place, 'sidecar')
  const waiting = names.flatMap((name) => {
    if (isDone(name.artefact)) return []
    const evidence = readPublished(place, name.artefact)
    if (!evidence || !isOurs(evidence, { host, directory })) return []
    const stats = lstatSync(join(place, name.artefact), { throwIfNoEntry: false })
    return stats ? [{ name, sizeBytes: stats.size }] : []
  })
  return inOrder(waiting)
}

/** The oldest dump first, and of one dump the smallest artefact first: then some of it is safe whatever follows. */
export function inOrder(waiting: readonly Waiting[]): Waiting[] {
  return [...waiting].sort(
    (one, other) => one.name.startedAtMs - other.name.startedAtMs || one.sizeBytes - other.sizeBytes,
  )
}

/**
 * Chooses what to delete when too much waits: the oldest first. A dump by hand stays, because a person asked for it, and so do
 * the artefacts of the newest dump.
 *
 * @param waiting - In the order of {@link inOrder}.
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

/** An artefact that is open to be read, and the file that describes it. */
export interface OpenWaiting {
  readonly fd: number
  readonly stats: Stats
  readonly sidecarText: string
  readonly sidecar: Sidecar & { readonly reported?: unknown }
  /** Why it is not the file that the monitor wrote, if so. It must not be sent. */
  readonly whyAnother: string | undefined
  close(): void
}

/**
 * Opens what waits, and nothing else that has taken its name: no symbolic link, no file of another user, no FIFO.
 *
 * @returns `undefined` when it is no longer there, or no longer ours.
 */
export function openWaiting(place: string, artefact: string): OpenWaiting | undefined {
  const sidecarText = readOwn(join(place, sidecarName(artefact)))
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
 * Whoever may rename in the directory can put another file of this user in the place of an artefact. The monitor records the size of
 * what it wrote, and changes nothing of it afterwards. Not the inode: a directory that is restored or moved has other ones.
 */
function whyAnother({ size }: Stats, { how }: Sidecar): string | undefined {
  if (size === how.sizeBytes) return undefined
  return `it has ${size} bytes, and ${how.sizeBytes} by its .json`
}

/**
 * Deletes an artefact that was sent, and the file that describes it, unless another file has taken its name. Of a dump at the
 * heap limit that file stays: the monitor counts such dumps by it.
 *
 * @returns `false` when it could not be deleted.
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
