import { join } from 'node:path'
import { parseArtefactName, partialName, sidecarName } from '../core/names'
import { TOOL } from '../core/retention'
import * as disk from './disk'
import { VERSION } from './version'
import { checkWhole } from './whole'
import type { BigIntStats } from 'node:fs'
import type { ArtefactExtension } from '../core/names'
import { tenths } from '../core/tenths'
import type { Artefact, DraftSidecar, How, Sidecar } from './artefact'
import type { Steps } from './step'
import { toJson } from '../time/globals'

/** By what a file is known again, whatever has happened to its name. */
export interface FileMark {
  /** Device and inode. */
  readonly inode: string
  /** Permission bits as the file system gave them at creation: 0600 wherever it knows permissions. */
  readonly mode: number
}

/**
 * An artefact that is being written, as plain data: it may cross to another thread or live on in a forked child.
 */
export interface PartialArtefact {
  readonly directory: string
  /** The final name, with extension. */
  readonly fileName: string
  readonly draft: DraftSidecar
  readonly partialMark: FileMark
  readonly sidecarMark: FileMark
}

/** The two descriptors through which an artefact is written and judged. */
export interface Descriptors {
  readonly partialFd: number
  readonly sidecarFd: number
}

const OWNER_ONLY = 0o600
const MODE_BITS = 0o777n

/** What file systems answer that have no hard links, or no more of them. */
const NO_HARD_LINKS: readonly unknown[] = [
  'EPERM',
  'ENOTSUP',
  'EOPNOTSUPP',
  'ENOSYS',
  'EMLINK',
  'EINVAL',
  'EXDEV',
]

/**
 * Creates `<name>.partial` and, before it, the sidecar that lets it be recognised should this process die. Throws, and
 * leaves nothing, when anything stands at one of the three names.
 */
export function* createPartial(
  directory: string,
  fileName: string,
  about: Pick<Sidecar, 'why' | 'where'>,
): Steps<PartialArtefact & Descriptors> {
  extensionOf(fileName)
  const draft = {
    tool: TOOL,
    version: VERSION,
    artefact: fileName,
    why: about.why,
    where: about.where,
  } as const
  const text = serialise(draft)
  yield* refuseExisting(join(directory, fileName))
  const sidecar = yield* createFile(join(directory, sidecarName(fileName)), text)
  try {
    const partial = yield* createFile(join(directory, partialName(fileName)), '')
    return {
      ...{ directory, fileName, draft, partialMark: partial.mark, sidecarMark: sidecar.mark },
      ...{ partialFd: partial.fd, sidecarFd: sidecar.fd },
    }
  } catch (error) {
    yield* attempt(disk.close(sidecar.fd))
    yield* removeMarked(join(directory, sidecarName(fileName)), sidecar.mark)
    throw error
  }
}

/**
 * Gives a finished artefact its final name: verifies it through the descriptor, syncs it, completes the sidecar, renames.
 * Throws without having overwritten or removed anything. Each of its operations bears to be done twice.
 */
export function* publishPartial(
  partial: PartialArtefact,
  { partialFd, sidecarFd }: Descriptors,
  how: How,
): Steps<Artefact> {
  const { directory, fileName, draft } = partial
  const partialPath = join(directory, partialName(fileName))
  const sizeBytes = yield* verify(partialFd, fileName)
  yield* expectMark(partialPath, yield* disk.fstat(partialFd), partial.partialMark)
  yield* disk.fsync(partialFd)

  yield* expectMark(join(directory, sidecarName(fileName)), yield* disk.fstat(sidecarFd), partial.sidecarMark)
  const sidecar = Buffer.from(serialise({ ...draft, how: { ...rounded(how), sizeBytes } }))
  yield* disk.write(sidecarFd, sidecar, 0)
  // After the writing: an exit that does this once more, while the thread pool is still at it, must not empty the file.
  yield* disk.truncate(sidecarFd, sidecar.length)
  yield* disk.fsync(sidecarFd)

  yield* moveWithoutOverwriting(partialPath, join(directory, fileName), partial.partialMark)
  yield* disk.syncDirectory(directory)
  return { file: join(directory, fileName), sizeBytes }
}

/**
 * Removes what {@link createPartial} made, and only that. A sidecar whose artefact already bears its final name stays.
 * Never throws.
 */
export function* removePartial({
  directory,
  fileName,
  partialMark,
  sidecarMark,
}: PartialArtefact): Steps<void> {
  yield* removeMarked(join(directory, partialName(fileName)), partialMark)
  if (yield* bears(join(directory, fileName), partialMark)) return
  yield* removeMarked(join(directory, sidecarName(fileName)), sidecarMark)
}

/** Whether the file that {@link createPartial} made still stands at its name. */
export function isPartialThere({ directory, fileName, partialMark }: PartialArtefact): Steps<boolean> {
  return bears(join(directory, partialName(fileName)), partialMark)
}

/** Runs steps whose failure changes nothing. */
export function* attempt(steps: Steps<unknown>): Steps<void> {
  try {
    yield* steps
  } catch {
    // What could not be undone is found again by its sidecar.
  }
}

function* createFile(path: string, text: string): Steps<{ fd: number; mark: FileMark }> {
  const fd = yield* disk.open(path, disk.CREATE_NEW, OWNER_ONLY)
  let mark = markOf(yield* disk.fstat(fd))
  try {
    if (mark.mode !== OWNER_ONLY) {
      // A umask took bits away, or the file system knows no permissions and will refuse.
      yield* attempt(disk.fchmod(fd, OWNER_ONLY))
      mark = markOf(yield* disk.fstat(fd))
    }
    yield* disk.write(fd, Buffer.from(text), 0)
    return { fd, mark }
  } catch (error) {
    yield* attempt(disk.close(fd))
    yield* removeMarked(path, mark)
    throw error
  }
}

function* verify(fd: number, fileName: string): Steps<number> {
  const sizeBytes = Number((yield* disk.fstat(fd)).size)
  const check = checkWhole(extensionOf(fileName), sizeBytes)
  let next = check.next()
  while (next.done !== true)
    next = check.next(yield* disk.read(fd, next.value.position, next.value.lengthBytes))
  if (next.value !== undefined) throw new Error(`${partialName(fileName)} is not whole: ${next.value}`)
  return sizeBytes
}

/** Others write by path, and follow what they find there: the path must still lead to the file that was created. */
function* expectMark(path: string, held: BigIntStats, expected: FileMark): Steps<void> {
  const atPath = yield* disk.lstat(path)
  if (inodeOf(held) !== expected.inode || inodeOf(atPath) !== expected.inode) {
    throw new Error(`${path} is no longer the file that was created there`)
  }
  const { mode } = markOf(held)
  if (mode !== expected.mode) {
    throw new Error(`the mode of ${path} was changed from ${octal(expected.mode)} to ${octal(mode)}`)
  }
}

function* moveWithoutOverwriting(from: string, to: string, mark: FileMark): Steps<void> {
  try {
    yield* linkOrRename(from, to)
  } catch (error) {
    // Done a second time, it finds its own work.
    if (!(yield* bears(to, mark))) throw error
  }
  if (!(yield* bears(to, mark))) {
    // Somebody changed what `from` names between the check and the move; the new name for it is all that is ours.
    yield* attempt(disk.unlink(to))
    throw new Error(`${from} was replaced while it was renamed`)
  }
  yield* removeMarked(from, mark)
}

function* linkOrRename(from: string, to: string): Steps<void> {
  try {
    yield* disk.link(from, to)
  } catch (error) {
    if (!NO_HARD_LINKS.includes((error as NodeJS.ErrnoException).code)) throw error
    yield* refuseExisting(to)
    yield* disk.rename(from, to)
  }
}

function* bears(path: string, mark: FileMark): Steps<boolean> {
  const found = yield* statOrNothing(path)
  return found !== undefined && inodeOf(found) === mark.inode
}

function* refuseExisting(path: string): Steps<void> {
  if ((yield* statOrNothing(path)) !== undefined) {
    throw Object.assign(new Error(`EEXIST: ${path} exists already`), { code: 'EEXIST', path })
  }
}

function* statOrNothing(path: string): Steps<BigIntStats | undefined> {
  try {
    return yield* disk.lstat(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function* removeMarked(path: string, mark: FileMark): Steps<void> {
  yield* attempt(
    (function* () {
      if (inodeOf(yield* disk.lstat(path)) === mark.inode) yield* disk.unlink(path)
    })(),
  )
}

function extensionOf(fileName: string): ArtefactExtension {
  const name = parseArtefactName(fileName)
  if (name?.part !== 'artefact') throw new RangeError(`${fileName} is not the name of an artefact`)
  return name.extension
}

function rounded(how: How): How {
  return { ...how, pauseMs: tenths(how.pauseMs), durationMs: tenths(how.durationMs) }
}

function serialise(sidecar: DraftSidecar | Sidecar): string {
  return `${toJson(sidecar, undefined, 2)}\n`
}

function markOf(stats: BigIntStats): FileMark {
  return { inode: inodeOf(stats), mode: Number(stats.mode & MODE_BITS) }
}

function inodeOf(stats: BigIntStats): string {
  return `${stats.dev}:${stats.ino}`
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0')
}
