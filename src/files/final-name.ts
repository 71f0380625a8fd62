import * as fs from 'node:fs'
import { join } from 'node:path'
import { within } from './directory'
import * as disk from './disk'
import { artefactName, numberedName, parseArtefactName, partialName, sidecarName } from './names'
import { type Descriptors, KEPT, type PartialArtefact, randomNumber, writeSidecar } from './partial'
import type { Artefact, Sidecar } from './sidecar'

/** Error codes of link(2) after which a file is renamed instead: hard links are unsupported or used up, or no space is left. */
const NO_HARD_LINK: readonly unknown[] = [
  'EPERM',
  'ENOTSUP',
  'EOPNOTSUPP',
  'ENOSYS',
  'EMLINK',
  'EINVAL',
  'EXDEV',
  'ENOSPC',
  'EDQUOT',
]

/**
 * Renames a finished `.partial` to its final name, or to the first of `otherNames` that is free. Overwrites no file. The
 * sidecar must be complete and synced before.
 *
 * @returns The new name.
 * @throws An error that names the file if all names are refused. The complete file is then kept as a `.partial`.
 */
export function giveFinalName(partial: PartialArtefact, held: Descriptors, sidecar: Sidecar): string {
  return within(partial.directory, (place) => giveFinalNameIn(place, partial, held, sidecar))
}

function giveFinalNameIn(
  directory: string,
  partial: PartialArtefact,
  { partialFd, sidecarFd }: Descriptors,
  sidecar: Sidecar,
): string {
  const { fileName, otherNames, partialMark, sidecarMark } = partial
  const at = (name: string): string => join(directory, name)
  const from = at(partialName(fileName))
  const draft = at(sidecarName(fileName))
  let told = draft
  try {
    return disk.withFirstFree([fileName, ...otherNames], (name) => {
      if (name === fileName) {
        linkOrRename(from, at(name))
        expectMoved(from, at(name), partialMark)
        disk.removeMarked(from, partialMark)
        return name
      }
      const described = at(sidecarName(name))
      for (const path of [at(name), described]) disk.refuseExisting(path)
      writeSidecar(sidecarFd, { ...sidecar, artefact: name })
      disk.fsyncNow(sidecarFd)
      // Give the sidecar its name first, because readers look for sidecars. Another user who sees that name has only until the
      // next call to take the artefact's name.
      const isLinked = linkOrRename(told, described)
      try {
        linkOrRename(from, at(name))
        expectMoved(told, described, sidecarMark)
        expectMoved(from, at(name), partialMark)
      } catch (error) {
        disk.removeMarked(at(name), partialMark)
        // Take back the sidecar's new name, and keep the draft's for the next attempt: another user could take a name that is
        // freed. Where the draft was renamed, the new name is its only one.
        if (isLinked) disk.removeMarked(described, sidecarMark)
        else told = described
        throw error
      }
      disk.removeMarked(from, partialMark)
      disk.removeMarked(draft, sidecarMark)
      return name
    })
  } catch (error) {
    if (told !== draft) disk.removeMarked(told, sidecarMark)
    if (!disk.isNameRefused(error)) throw error
    const kept = keepNameless(directory, partial, partialFd)
    throw new Error(`the dump is complete, but ${whyRefused(error)}, so it is kept as ${kept}`)
  }
}

function whyRefused(error: unknown): string {
  return (error as NodeJS.ErrnoException).code === 'EEXIST'
    ? 'other files have taken all its names'
    : 'the directory has no room for any of its names (ENOSPC; the disk may have space left)'
}

/**
 * Keeps a complete artefact for which no final name was free. It becomes a `.partial` without a sidecar, which this library never
 * deletes. That takes one name only: of a pair of names, another user could see the first and take the second. If even single
 * names are refused, it keeps the name that it has.
 *
 * @returns The name of the file.
 */
function keepNameless(
  directory: string,
  { fileName, partialMark, sidecarMark }: PartialArtefact,
  partialFd: number,
): string {
  const from = join(directory, partialName(fileName))
  // Without a number that the name may have: with two numbers, later starts would not know it for the name of a dump.
  const { baseName = '', extension = '.cpuprofile', worker } = parseArtefactName(fileName) ?? {}
  const plainName = artefactName(baseName, extension, worker)
  const names = Array.from({ length: disk.MORE_NAMES }, () =>
    partialName(numberedName(plainName, randomNumber())),
  )
  try {
    return disk.withFirstFree(names, (kept) => {
      linkOrRename(from, join(directory, kept))
      expectMoved(from, join(directory, kept), partialMark)
      disk.removeMarked(from, partialMark)
      return kept
    })
  } catch (error) {
    if (!disk.isNameRefused(error)) throw error
    fs.fchmodSync(partialFd, KEPT)
    disk.removeMarked(join(directory, sidecarName(fileName)), sidecarMark)
    return partialName(fileName)
  }
}

/** Finds the finished artefact by its inode, under any of its possible final names. `undefined` if it has none of them. */
export function findPublished({
  directory,
  fileName,
  otherNames,
  partialMark,
}: PartialArtefact): Artefact | undefined {
  for (const name of [fileName, ...otherNames]) {
    const file = join(directory, name)
    const found = disk.markAt(file)
    if (found?.inode === partialMark.inode) return { file, sizeBytes: found.sizeBytes }
  }
  return undefined
}

function expectMoved(from: string, to: string, mark: disk.FileMark): void {
  if (disk.bears(to, mark)) return
  // Another file took the name `from` between the check and the rename, and now has the name `to`. Remove only this name.
  disk.ignoringErrors(() => fs.unlinkSync(to))
  throw new Error(`${from} was replaced while it was renamed`)
}

/** Adds a name by a hard link, or renames the file where that fails. Overwrites no file. @returns Whether it was a hard link. */
function linkOrRename(from: string, to: string): boolean {
  try {
    fs.linkSync(from, to)
    return true
  } catch (error) {
    if (!NO_HARD_LINK.includes((error as NodeJS.ErrnoException).code)) throw error
    disk.refuseExisting(to)
    fs.renameSync(from, to)
    return false
  }
}
