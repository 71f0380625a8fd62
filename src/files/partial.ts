import { randomInt } from 'node:crypto'
import type { BigIntStats } from 'node:fs'
import * as fs from 'node:fs'
import { dirname, join } from 'node:path'
import { toJson } from '../base/globals'
import { findStranger, findTamperer, isOpenToOthers, octal, within } from './directory'
import * as disk from './disk'
import { TOOL } from './expiry'
import { artefactName, numberedName, parseArtefactName, partialName, sidecarName } from './names'
import { refuseBorrowedUser } from './owners'
import {
  type Artefact,
  type DraftSidecar,
  type KnownBefore,
  MAIN_THREAD,
  type Sidecar,
  VERSION,
} from './sidecar'

/** Identifies a file independently of its name. */
export interface FileMark {
  /** Device and inode number, as `<device>:<inode>`. */
  readonly inode: string
  /** Permission bits after creation: 0600 on every file system that has permissions. */
  readonly mode: number
}

/** A file to write to: its path, and the mark by which a writer checks that the path still leads to this file. */
export interface MarkedFile {
  readonly file: string
  readonly mark: FileMark
  /**
   * `true` for a path `/proc/self/fd/<n>`, a link that must be followed; absent for other paths. The mark is checked for both: by
   * now another file may have the descriptor's number.
   */
  readonly isOpen?: true
}

/** An artefact that is being written, as plain data: it can be sent to another thread or copied into a forked child. */
export interface PartialArtefact {
  readonly directory: string
  /** The final name, with extension. */
  readonly fileName: string
  /** Names to use for the finished artefact if another file has taken `fileName` by then. */
  readonly otherNames: readonly string[]
  readonly draft: DraftSidecar
  readonly partialMark: FileMark
  readonly sidecarMark: FileMark
}

/** Open file descriptors of the `.partial` of an artefact and of its sidecar. */
export interface Descriptors {
  readonly partialFd: number
  readonly sidecarFd: number
}

const OWNER_ONLY = 0o600
/** Mode of a complete `.partial` that is kept because it got no other name. {@link removePartial} does not remove it. */
const KEPT = 0o400
const MODE_BITS = 0o777n

/** Numbers that are added, one after the other, to a file name that is taken. */
const PLAIN_NUMBERS = [2, 3]
/**
 * How many names a finished file has to choose from beside the one of its `.partial`. Most contain random numbers, because
 * another user cannot occupy random names in advance. The sidecar is synced anew for each name that is tried.
 */
const OTHER_NAMES = 14
/** Random numbers are below this one, because the number in a file name has at most nine digits. */
const MAX_NUMBER = 1_000_000_000

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
    withFirstFree(names.slice(0, -OTHER_NAMES), (name, at) =>
      createUnder(name, names.slice(at + 1, at + 1 + OTHER_NAMES), { directory, place }, about),
    ),
  )
}

function randomNumber(): number {
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
  refuseExisting(artefact)
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
      const mark = markOf(fd)
      fs.closeSync(fd)
      removeMarked(path, mark)
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
  const partialFd = openMarked({ file: join(directory, partialName(fileName)), mark: partialMark })
  try {
    const sidecarFd = openMarked({ file: join(directory, sidecarName(fileName)), mark: sidecarMark })
    return { partialFd, sidecarFd }
  } catch (error) {
    fs.closeSync(partialFd)
    throw error
  }
}

/**
 * Opens a file by its path for writing, and checks its inode.
 *
 * @throws When another file has the path: in a shared directory other users can rename files.
 */
export function openMarked({ file, mark, isOpen }: MarkedFile): number {
  const fd = fs.openSync(file, isOpen ? disk.OPEN_THROUGH : disk.OPEN_EXISTING)
  try {
    if (inodeOf(fs.fstatSync(fd, { bigint: true })) !== mark.inode) throw replaced(file)
    return fd
  } catch (error) {
    fs.closeSync(fd)
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
    const found = inodeOf(fs.statSync(path, { bigint: true }))
    const isAllowed = permission?.has('fs.write', path) ?? true
    return isAllowed && found === inodeOf(fs.fstatSync(fd, { bigint: true }))
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
    return withFirstFree([fileName, ...otherNames], (name) => {
      if (name === fileName) {
        linkOrRename(from, at(name))
        expectMoved(from, at(name), partialMark)
        removeMarked(from, partialMark)
        return name
      }
      const described = at(sidecarName(name))
      for (const path of [at(name), described]) refuseExisting(path)
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
        removeMarked(at(name), partialMark)
        // The draft keeps its own name until the end: another user could take a name that is freed.
        if (isLinked) removeMarked(described, sidecarMark)
        else told = described
        throw error
      }
      removeMarked(from, partialMark)
      removeMarked(draft, sidecarMark)
      return name
    })
  } catch (error) {
    if (told !== draft) removeMarked(told, sidecarMark)
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
    return withFirstFree(names, (kept) => {
      linkOrRename(from, join(directory, kept))
      expectMoved(from, join(directory, kept), partialMark)
      removeMarked(from, partialMark)
      return kept
    })
  } catch (error) {
    if (!disk.isNameRefused(error)) throw error
    fs.fchmodSync(partialFd, KEPT)
    removeMarked(join(directory, sidecarName(fileName)), sidecarMark)
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
    const found = statOrNothing(join(directory, name))
    if (found && inodeOf(found) === partialMark.inode)
      return { file: join(directory, name), sizeBytes: Number(found.size) }
  }
  return undefined
}

/**
 * Removes the two files that {@link createPartial} made, except the sidecar of a published artefact, and a complete `.partial`
 * that is kept because it got no other name. Never throws.
 */
export function removePartial({ directory, fileName, partialMark, sidecarMark }: PartialArtefact): void {
  ignoringErrors(() =>
    within(directory, (place) => {
      const partial = join(place, partialName(fileName))
      // Another process, a forked child, may have decided to keep the file. The mode tells it.
      if (partialMark.mode === KEPT || !isKept(partial)) removeMarked(partial, partialMark)
      if (!bears(join(place, fileName), partialMark))
        removeMarked(join(place, sidecarName(fileName)), sidecarMark)
    }),
  )
}

/** Whether `<name>.partial` exists and still is the file that {@link createPartial} made. */
export function isPartialThere({ directory, fileName, partialMark }: PartialArtefact): boolean {
  return bears(join(directory, partialName(fileName)), partialMark)
}

/** Calls `use` with one name after the other until the file system accepts one. @throws If it refuses all: the last error. */
function withFirstFree<T>(names: readonly string[], use: (name: string, at: number) => T): T {
  for (let at = 0; ; at++) {
    try {
      return use(names[at] ?? '', at)
    } catch (error) {
      if (!disk.isNameRefused(error) || at + 1 >= names.length) throw error
    }
  }
}

function markForOwner(fd: number): FileMark {
  const mark = markOf(fd)
  if (mark.mode === OWNER_ONLY) return mark
  // Restore bits that the umask removed. A file system without permissions refuses, which is ignored.
  ignoringErrors(() => fs.fchmodSync(fd, OWNER_ONLY))
  return markOf(fd)
}

function expectMark(path: string, fd: number, expected: FileMark): void {
  const held = markOf(fd)
  if (held.inode !== expected.inode || inodeOf(fs.lstatSync(path, { bigint: true })) !== expected.inode)
    throw replaced(path)
  if (held.mode !== expected.mode)
    throw new Error(
      `the dump is deleted, because the mode of ${path} was changed from ${octal(expected.mode)} to ${octal(held.mode)}`,
    )
}

function expectMoved(from: string, to: string, mark: FileMark): void {
  if (bears(to, mark)) return
  // Another file took the name `from` between the check and the rename, and now has the name `to`. Remove only this name.
  ignoringErrors(() => fs.unlinkSync(to))
  throw new Error(`${from} was replaced while it was renamed`)
}

/** Adds a name by a hard link, or renames the file where that fails. Overwrites no file. @returns Whether it was a hard link. */
function linkOrRename(from: string, to: string): boolean {
  try {
    fs.linkSync(from, to)
    return true
  } catch (error) {
    if (!NO_HARD_LINK.includes((error as NodeJS.ErrnoException).code)) throw error
    refuseExisting(to)
    fs.renameSync(from, to)
    return false
  }
}

function isKept(path: string): boolean {
  return Number((statOrNothing(path)?.mode ?? 0n) & MODE_BITS) === KEPT
}

function bears(path: string, mark: FileMark): boolean {
  const found = statOrNothing(path)
  return found !== undefined && inodeOf(found) === mark.inode
}

function refuseExisting(path: string): void {
  if (statOrNothing(path) !== undefined)
    throw Object.assign(new Error(`EEXIST: ${path} exists already`), { code: 'EEXIST', path })
}

function statOrNothing(path: string): BigIntStats | undefined {
  return fs.lstatSync(path, { bigint: true, throwIfNoEntry: false })
}

function removeMarked(path: string, mark: FileMark): void {
  ignoringErrors(() => {
    if (bears(path, mark)) fs.unlinkSync(path)
  })
}

/** Runs work that may fail, such as cleanup, and ignores its errors. A file that is not removed is found later by its sidecar. */
export function ignoringErrors(work: () => void): void {
  try {
    work()
  } catch {
    return
  }
}

function replaced(path: string): Error {
  return new Error(`${path} is no longer the file that was created there`)
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

export function markOf(fd: number): FileMark {
  const stats = fs.fstatSync(fd, { bigint: true })
  return { inode: inodeOf(stats), mode: Number(stats.mode & MODE_BITS) }
}

function inodeOf(stats: BigIntStats): string {
  return `${stats.dev}:${stats.ino}`
}
