import { randomInt } from 'node:crypto'
import * as fs from 'node:fs'
import { dirname, join } from 'node:path'
import { toJson } from '../base/globals'
import { findStranger, findTamperer, isOpenToOthers, octal, within } from './directory'
import * as disk from './disk'
import { TOOL } from './expiry'
import { numberedName, parseArtefactName, partialName, sidecarName } from './names'
import { refuseBorrowedUser } from './owners'
import { type DraftSidecar, type KnownBefore, MAIN_THREAD, type Sidecar, VERSION } from './sidecar'

/** An artefact that is being written, as plain data: it can be sent to another thread or copied into a forked child. */
export interface PartialArtefact {
  readonly directory: string
  /** The final name, with extension. */
  readonly fileName: string
  /** Names to use for the finished artefact if another file has taken `fileName` by then. */
  readonly otherNames: readonly string[]
  readonly draft: DraftSidecar
  readonly partialMark: disk.FileMark
  readonly sidecarMark: disk.FileMark
}

/** Open file descriptors of the `.partial` of an artefact and of its sidecar. */
export interface Descriptors {
  readonly partialFd: number
  readonly sidecarFd: number
}

const OWNER_ONLY = 0o600
/** Mode of a complete `.partial` that is kept because it got no other name. {@link removePartial} does not remove it. */
export const KEPT = 0o400

/** Numbers that are added, one after the other, to a file name that is taken. */
const PLAIN_NUMBERS = [2, 3]
/**
 * How many names a finished file has to choose from beside the one of its `.partial`. Most contain random numbers, because
 * another user cannot occupy random names in advance. The sidecar is synced anew for each name that is tried.
 */
const OTHER_NAMES = 14
/** Random numbers are below this one, because the number in a file name has at most nine digits. */
const MAX_NUMBER = 1_000_000_000

/**
 * Creates the sidecar and then `<name>.partial`. In this order, a `.partial` that a dead process leaves always has a sidecar
 * by which it is recognised. If one of the two names is refused, or the final name `<name>` is taken, the next numbered name is
 * tried.
 *
 * @throws The file system's error. No file is left behind.
 */
export function createPartial(
  directory: string,
  fileName: string,
  about: KnownBefore,
): PartialArtefact & Descriptors {
  if (parseArtefactName(fileName)?.part !== 'artefact')
    throw new RangeError(`${fileName} is not the name of an artefact`)
  refuseBorrowedUser()
  const random = Array.from({ length: disk.MORE_NAMES + OTHER_NAMES }, randomNumber)
  const names = [fileName, ...[...PLAIN_NUMBERS, ...random].map((number) => numberedName(fileName, number))]
  return within(directory, (place) =>
    disk.withFirstFree(names.slice(0, -OTHER_NAMES), (name, at) =>
      createUnder(name, names.slice(at + 1, at + 1 + OTHER_NAMES), { directory, place }, about),
    ),
  )
}

/** Returns a number for {@link numberedName} that another user cannot foresee. */
export function randomNumber(): number {
  return randomInt(PLAIN_NUMBERS.length + 2, MAX_NUMBER)
}

function createUnder(
  fileName: string,
  otherNames: readonly string[],
  { directory, place }: { readonly directory: string; readonly place: string },
  { why, makeup, flight, thread = MAIN_THREAD, where }: KnownBefore,
): PartialArtefact & Descriptors {
  const draft = {
    ...({ tool: TOOL, version: VERSION, artefact: fileName } as const),
    ...{ why, makeup, flight, thread, where },
  }
  const [artefact, sidecar, partial] = [fileName, sidecarName(fileName), partialName(fileName)].map((name) =>
    join(place, name),
  ) as [string, string, string]
  disk.refuseExisting(artefact)
  const sidecarFd = fs.openSync(sidecar, disk.CREATE_NEW, OWNER_ONLY)
  let partialFd: number | undefined
  try {
    // Created immediately after the sidecar: another user who sees the sidecar's name could take the name of this file.
    partialFd = fs.openSync(partial, disk.CREATE_NEW, OWNER_ONLY)
    const sidecarMark = markForOwner(sidecarFd)
    refuseOpenToOthers(directory, sidecarMark.mode)
    disk.write(sidecarFd, Buffer.from(serialise(draft)), 0)
    const partialMark = markForOwner(partialFd)
    return { directory, fileName, otherNames, draft, partialMark, sidecarMark, partialFd, sidecarFd }
  } catch (error) {
    for (const [fd, path] of [
      [partialFd, partial],
      [sidecarFd, sidecar],
    ] as const) {
      if (fd === undefined) continue
      const mark = disk.markOf(fd)
      fs.closeSync(fd)
      disk.removeMarked(path, mark)
    }
    throw error
  }
}

/**
 * Throws if other users can read the new files in a directory, and another user may have mounted its file system in order to read
 * them. If only this user and root can have mounted it, the dump is written: the risk was logged at the start, and the dump is
 * worth more.
 */
export function refuseOpenToOthers(directory: string, mode: number): void {
  const stranger = isOpenToOthers(mode) ? findStranger(directory) : undefined
  if (stranger === undefined) return
  throw new Error(
    `the dump is not written, because other users could read it: the file system gives files the mode ${octal(mode)}, and ${stranger}`,
  )
}

/** Opens the two files of an artefact by path. Throws if one of them is not the file that {@link createPartial} made. */
export function reopenPartial({
  directory,
  fileName,
  partialMark,
  sidecarMark,
}: PartialArtefact): Descriptors {
  const partialFd = disk.openMarked({ file: join(directory, partialName(fileName)), mark: partialMark })
  try {
    const sidecarFd = disk.openMarked({ file: join(directory, sidecarName(fileName)), mark: sidecarMark })
    return { partialFd, sidecarFd }
  } catch (error) {
    fs.closeSync(partialFd)
    throw error
  }
}

/**
 * Returns a path to an open file, for code that accepts no file descriptor, such as V8's `writeHeapSnapshot`. The path
 * `/proc/self/fd/<n>` leads to the file even after a rename. Without /proc, or where `--permission` forbids it, the file's own
 * path is returned.
 *
 * @throws When only the file's own path is left, and other users could make that path lead elsewhere.
 */
export function pathThrough(fd: number, file: string): string {
  const path = reachThrough(fd)
  if (path !== undefined) return path
  const why = whyOthersCanRename(dirname(file))
  if (why !== undefined)
    throw new Error(
      `${file} is not written: /proc/self/fd cannot be used, and by its path another user could redirect the write, because ${why}`,
    )
  return file
}

/** Returns `/proc/self/fd/<n>`, which works even for an unlinked file. `undefined` where /proc is missing or not permitted. */
export function reachThrough(fd: number): string | undefined {
  const path = `/proc/self/fd/${fd}`
  return isWritable(path, fd) ? path : undefined
}

function isWritable(path: string, fd: number): boolean {
  try {
    const { permission } = process as { permission?: { has(scope: string, reference: string): boolean } }
    const { inode } = disk.markBehind(path)
    return (permission?.has('fs.write', path) ?? true) && inode === disk.markOf(fd).inode
  } catch {
    return false
  }
}

function whyOthersCanRename(directory: string): string | undefined {
  try {
    return findTamperer(directory)
  } catch (error) {
    return (error as Error).message
  }
}

/** Checks paths and modes of the two files. @throws When one was replaced, or its mode changed, since {@link createPartial}. */
export function expectUnchanged(partial: PartialArtefact, { partialFd, sidecarFd }: Descriptors): void {
  const { directory, fileName, partialMark, sidecarMark } = partial
  expectMark(join(directory, partialName(fileName)), partialFd, partialMark)
  expectMark(join(directory, sidecarName(fileName)), sidecarFd, sidecarMark)
}

/** Overwrites the draft of a sidecar with the complete one. */
export function writeSidecar(sidecarFd: number, sidecar: Sidecar): void {
  const bytes = Buffer.from(serialise(sidecar))
  disk.write(sidecarFd, bytes, 0)
  fs.ftruncateSync(sidecarFd, bytes.length)
}

/**
 * Removes the two files that {@link createPartial} made, except the sidecar of a published artefact, and a complete `.partial`
 * that is kept because it got no other name. Never throws.
 */
export function removePartial({ directory, fileName, partialMark, sidecarMark }: PartialArtefact): void {
  disk.ignoringErrors(() =>
    within(directory, (place) => {
      const partial = join(place, partialName(fileName))
      // Another process, a forked child, may have decided to keep the file. The mode tells it.
      if (partialMark.mode === KEPT || !isKept(partial)) disk.removeMarked(partial, partialMark)
      if (!disk.bears(join(place, fileName), partialMark))
        disk.removeMarked(join(place, sidecarName(fileName)), sidecarMark)
    }),
  )
}

/** Whether `<name>.partial` exists and still is the file that {@link createPartial} made. */
export function isPartialThere({ directory, fileName, partialMark }: PartialArtefact): boolean {
  return disk.bears(join(directory, partialName(fileName)), partialMark)
}

function markForOwner(fd: number): disk.FileMark {
  const mark = disk.markOf(fd)
  if (mark.mode === OWNER_ONLY) return mark
  // Restore bits that the umask removed. A file system without permissions refuses, which is ignored.
  disk.ignoringErrors(() => fs.fchmodSync(fd, OWNER_ONLY))
  return disk.markOf(fd)
}

function expectMark(path: string, fd: number, expected: disk.FileMark): void {
  const held = disk.markOf(fd)
  if (held.inode !== expected.inode || disk.markOfName(path).inode !== expected.inode)
    throw disk.replaced(path)
  if (held.mode !== expected.mode)
    throw new Error(
      `the dump is deleted, because the mode of ${path} was changed from ${octal(expected.mode)} to ${octal(held.mode)}`,
    )
}

function isKept(path: string): boolean {
  return disk.markAt(path)?.mode === KEPT
}

/** Formats a sidecar as JSON that people can read: indented, each array of numbers on one line. */
export function serialise(sidecar: object): string {
  const text = toJson(sidecar, undefined, 2)
  // JSON escapes a line break in a string, so `[` followed by a real line break always starts an array.
  return `${text.replace(/\[\n(?:\s*(?:-?[\d.]+|null),?\n)+\s*\]/g, onOneLine)}\n`
}

function onOneLine(list: string): string {
  return list.replace(/\s+/g, ' ').replace('[ ', '[').replace(' ]', ']')
}
