import { lstatSync, opendirSync, type Stats, statSync } from 'node:fs'
import { join } from 'node:path'
import { PARTIAL_SUFFIX } from '../files/names'
import { isLinkedByOthers } from '../files/owners'
import {
  descriptionsOf,
  isUnfinished,
  LATEST_MS,
  MOST_FUTURE_MS,
  readCircumstances,
  readName,
} from './artefact'
import { userOf } from './input'
import { reasonOf } from './json'
import type { Circumstances } from './model'
import { formatCount } from './units'

const EXTENSION = /\.(cpuprofile|heapprofile|heapsnapshot)(\.gz)?$/

/** The files of one dump, all owned by the same user; or a single profile or snapshot that the monitor did not write. */
export interface Incident {
  /**
   * Paths of the files, those of the thread at fault first. This is the main thread if the rule is about it, else the busiest
   * thread or the thread whose heap holds most of the memory. The snapshot of a thread comes before its sampling profile.
   */
  readonly files: readonly string[]
  readonly sizeBytes: number
  /**
   * Id of the user that owns all these files. It tells dumps of different users apart: any user who may write in the directory
   * can leave files there that look like dumps.
   */
  readonly owner: number
  readonly atMs: number
  readonly kind: 'cpu' | 'memory'
  /** The rule that asked for the dump; `undefined` for files that the monitor did not write. */
  readonly rule?: string
}

/** Maximum number of hints at unfinished files, and of notes on files whose status cannot be read. */
const MOST_HINTS = 100
/** Maximum number of files of one user that are listed: the newest. */
const MOST_OF_A_USER = 20_000
/**
 * Maximum number of users whose files are listed, beside root, the user of this process and the owner of the directory. The first
 * ones that are found count: a user of the machine may have several thousand user ids.
 */
export const MOST_USERS = 10
const NAMES_AT_A_TIME = 256
/** Maximum time for reading the descriptions in a directory, ms. Then the files of the other dumps are not sorted by thread. */
const READ_MS = 10_000

/** The dumps in a directory. */
export interface Folder {
  /** The dumps, the newest first. */
  readonly incidents: Incident[]
  /** Notes on files whose status cannot be read, and on files that are left out because there are too many. */
  readonly notes: readonly string[]
}

/**
 * Finds the dumps in a directory, and single profiles and snapshots. Ignores symbolic links in it, and unfinished files.
 *
 * @param mostOfAUser - Maximum number of files of each user that are listed: the newest.
 */
export function readFolder(directory: string, mostOfAUser = MOST_OF_A_USER): Folder {
  const groups = new Map<string, FilesOfOne>()
  const { files, leftOut, notes } = findFiles(directory, (name) => EXTENSION.test(name), mostOfAUser)
  for (const file of files) {
    const { name, uid, isLinked } = file
    // Contains the owner, and whether it is certain. Otherwise, a file of another user could become part of a dump and be shown
    // as its first file.
    const key = `${uid}:${isLinked}:${readName(name)?.incident ?? name}`
    const group = groups.get(key)
    if (group) group.push(file)
    else groups.set(key, [file])
  }
  const endMs = performance.now() + READ_MS
  const incidents = [...groups.values()]
    .map((files) => incidentOf(files, endMs))
    .sort((one, other) => other.atMs - one.atMs)
  return { incidents, notes: leftOut === 0 ? notes : [...notes, noteOn(leftOut, mostOfAUser)] }
}

function noteOn(leftOut: number, mostOfAUser: number): string {
  return `${formatCount(leftOut, 'file')} left out: of each user the newest ${formatCount(mostOfAUser, 'file')} are listed.`
}

/** The paths that a report reads: a file, or all profiles and snapshots of a directory, and where their `.json` may be. */
export function evidenceIn(path: string): string[] {
  const files = statSync(path).isDirectory()
    ? readFolder(path).incidents.flatMap((incident) => incident.files)
    : [path]
  return files.flatMap((file) => [file, ...descriptionsOf(file)])
}

/**
 * Names of the files in a directory that the monitor has not finished writing. Those of this process's user come first, because
 * other users may have created many. Files are left out as by {@link readFolder}.
 */
export function unfinishedFiles(directory: string): string[] {
  return findUnfinished(directory, MOST_OF_A_USER).names
}

function findUnfinished(
  directory: string,
  mostOfAUser: number,
): { readonly names: string[]; readonly leftOut: number } {
  const uid = process.geteuid?.()
  const { files, leftOut } = findFiles(directory, isUnfinished, mostOfAUser)
  const ownFirst = files.toSorted((one, other) => Number(other.uid === uid) - Number(one.uid === uid))
  return { names: ownFirst.map(({ name }) => name), leftOut }
}

/**
 * One line for each unfinished file in a directory. After {@link MOST_HINTS} lines, the last one says how many more there are.
 */
export function unfinishedHints(directory: string, mostOfAUser = MOST_OF_A_USER): readonly string[] {
  const { names, leftOut } = findUnfinished(directory, mostOfAUser)
  const first = names.slice(0, MOST_HINTS)
  const more = names.length - first.length + leftOut
  return [...first.map((name) => hintAt(directory, name)), ...(more > 0 ? [`and ${more} more`] : [])]
}

function hintAt(directory: string, name: string): string {
  const described = descriptionsOf(join(directory, name.slice(0, -PARTIAL_SUFFIX.length)))
  // The monitor creates the `.json` before the `.partial`. So a `.partial` of the monitor without it is a complete dump that could
  // not get its final name: all names that were tried were taken, or the directory had no room for them.
  if (described.some((path) => isThere(path)))
    return `${name} is still being written, unless its process was killed: look again later`
  return `${name} has no .json, so no process is writing it. It may be a complete dump that got no final name: try report with it`
}

function isThere(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined
  } catch {
    return false // The name is too long for the file system.
  }
}

/** Whether the files of these dumps belong to more than one user. */
export function haveSeveralOwners(incidents: readonly Incident[]): boolean {
  return new Set(incidents.map(({ owner }) => owner)).size > 1
}

/** A file, with its status when the directory was listed. */
interface FoundFile {
  readonly name: string
  readonly path: string
  readonly uid: number
  /** Whether somebody other than its owner can have written it ({@link isLinkedByOthers}). */
  readonly isLinked: boolean
  readonly sizeBytes: number
  readonly mtimeMs: number
}

interface FoundFiles {
  /** Sorted by name. */
  readonly files: readonly FoundFile[]
  /** Number of files that are left out because their users have too many, or because there are too many users. */
  readonly leftOut: number
  /** A note for each file whose status cannot be read. After {@link MOST_HINTS} notes, the last one counts the others. */
  readonly notes: readonly string[]
}

/**
 * Finds files of a directory by their names. Ignores symbolic links. Each user has a share of what is kept, so nobody can crowd
 * out the files of another by creating more or newer names.
 */
export function findFiles(
  directory: string,
  isWanted: (name: string) => boolean,
  mostOfAUser = MOST_OF_A_USER,
): FoundFiles {
  const known = new Set([0, process.geteuid?.() ?? 0, statSync(directory).uid])
  const nowMs = Date.now()
  const shares = new Map<number, Share>()
  const notes: string[] = []
  let [unseen, ofOthers, users] = [0, 0, 0]
  for (const name of namesIn(directory)) {
    if (!isWanted(name)) continue
    const path = join(directory, name)
    let stats: Stats | undefined
    try {
      // Of a symbolic link itself. `undefined` if the file was deleted since the directory was read.
      stats = lstatSync(path, { throwIfNoEntry: false })
    } catch (error) {
      // Another user can create such an entry: a FUSE mount of another user is closed even to root.
      if (++unseen <= MOST_HINTS) notes.push(`${name} cannot be looked at: ${reasonOf(error)}`)
      continue
    }
    if (stats?.isFile() !== true) continue
    const { size: sizeBytes, mtimeMs } = stats
    const uid = userOf(path, stats)
    let share = shares.get(uid)
    if (share === undefined && (known.has(uid) || ++users <= MOST_USERS))
      shares.set(uid, (share = new Share(mostOfAUser, nowMs)))
    if (share) share.add({ name, path, uid, isLinked: isLinkedByOthers(stats), sizeBytes, mtimeMs })
    else ofOthers += 1
  }
  const files = [...shares.values()].flatMap((share) => share.newest())
  const leftOut = [...shares.values()].reduce((sum, share) => sum + share.leftOut, ofOthers)
  const more = unseen > MOST_HINTS ? [`and ${unseen - MOST_HINTS} more`] : []
  return { files: files.sort(byName), leftOut, notes: [...notes.sort(), ...more] }
}

function* namesIn(directory: string): Generator<string> {
  const entries = opendirSync(directory, { bufferSize: NAMES_AT_A_TIME })
  try {
    for (let entry = entries.readSync(); entry !== null; entry = entries.readSync()) yield entry.name
  } finally {
    entries.closeSync()
  }
}

/** The newest files that belong to one user: at most `most`, so that no user can crowd out the files of others. */
class Share {
  leftOut = 0
  #dated: { readonly file: FoundFile; readonly ageKey: number }[] = []

  constructor(
    private readonly most: number,
    private readonly nowMs: number,
  ) {}

  add(file: FoundFile): void {
    const atMs = readName(file.name)?.startedAtMs ?? file.mtimeMs
    // A time that is too far in the future is taken for a wrong one: such a file counts as the oldest.
    this.#dated.push({ file, ageKey: atMs > this.nowMs + MOST_FUTURE_MS ? -1 : atMs })
    if (this.#dated.length >= 2 * this.most) this.#cut()
  }

  newest(): readonly FoundFile[] {
    this.#cut()
    return this.#dated.map(({ file }) => file)
  }

  #cut(): void {
    const { length } = this.#dated
    if (length <= this.most) return
    this.#dated.sort((one, other) => other.ageKey - one.ageKey)
    this.#dated.length = this.most
    this.leftOut += length - this.most
  }
}

function byName(one: FoundFile, other: FoundFile): number {
  return one.name < other.name ? -1 : Number(one.name > other.name)
}

/** The files of one dump: at least one, all of one owner. */
type FilesOfOne = [FoundFile, ...FoundFile[]]

function incidentOf(listed: Readonly<FilesOfOne>, endMs: number): Incident {
  const isRead = (): boolean => listed.length > 1 && performance.now() < endMs
  // Keeps only two values of each description, because a directory can have a hundred thousand descriptions.
  const found = listed.map((file) => {
    const circumstances = isRead() ? readCircumstances(file.path, file.uid) : undefined
    return { ...file, isOfAnother: isOfAnother(circumstances), busyMs: circumstances?.busyMs ?? 0 }
  })
  const sorted = found.sort(
    (one, other) =>
      Number(one.isOfAnother) - Number(other.isOfAnother) ||
      rank(one.path) - rank(other.path) ||
      other.busyMs - one.busyMs,
  )
  const files = sorted.map(({ path }) => path)
  const [main = ''] = files
  const name = readName(main)
  return {
    files,
    sizeBytes: sorted.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    owner: listed[0].uid,
    // The time in a file name, or of a file system with 64-bit times, can be later than any Date.
    atMs: Math.min(LATEST_MS, name?.startedAtMs ?? Math.max(0, ...sorted.map(({ mtimeMs }) => mtimeMs))),
    kind: name?.kind ?? (/\.cpuprofile/.test(main) ? 'cpu' : 'memory'),
    ...(name && { rule: name.rule }),
  }
}

/**
 * Whether a file is about the wrong thread: about a worker thread although the rule is about the main thread, or, for a memory
 * dump, about another thread than the worker thread that holds most of the memory.
 */
function isOfAnother(circumstances: Circumstances | undefined): boolean {
  if (circumstances === undefined) return false
  const { isOfMain, kind, owner, worker } = circumstances
  if (isOfMain) return worker !== undefined
  return kind === 'memory' && owner?.worker !== undefined && owner.worker !== worker
}

function rank(path: string): number {
  return /\.heapsnapshot/.test(path) ? 0 : 1
}
