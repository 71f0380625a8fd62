import { lstatSync, readdirSync, type Stats, statSync } from 'node:fs'
import { join } from 'node:path'
import { PARTIAL_SUFFIX } from '../files/names'
import { isLinkedByOthers } from '../files/owners'
import { descriptionsOf, isUnfinished, LATEST_MS, readCircumstances, readName } from './artefact'
import { userOf } from './input'
import { reasonOf } from './json'
import type { Circumstances } from './model'

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

const MOST_HINTS = 100
/** Maximum time for reading the descriptions in a directory, ms. Then the files of the other dumps are not sorted by thread. */
const READ_MS = 10_000

/** The dumps in a directory. */
export interface Folder {
  /** The dumps, the newest first. */
  readonly incidents: Incident[]
  /**
   * A note for each file whose status cannot be read. After {@link MOST_HINTS} notes, the last one says how many more there are.
   */
  readonly notes: readonly string[]
}

/** Finds the dumps in a directory, and single profiles and snapshots. Ignores symbolic links in it. */
export function readFolder(directory: string): Folder {
  const groups = new Map<string, FoundFiles>()
  const unseen: string[] = []
  for (const name of readdirSync(directory).sort()) {
    if (!EXTENSION.test(name)) continue
    const path = join(directory, name)
    let stats: Stats | undefined
    try {
      stats = statOf(path)
    } catch (error) {
      // Another user can create such an entry: a FUSE mount of another user is closed even to root.
      unseen.push(`${name} cannot be looked at: ${reasonOf(error)}`)
      continue
    }
    if (stats?.isFile() !== true) continue
    const { size: sizeBytes, mtimeMs } = stats
    const uid = userOf(path, stats)
    const file = { path, uid, sizeBytes, mtimeMs }
    // Contains the owner, and whether it is certain. Otherwise, a file of another user could become part of a dump and be shown
    // as its first file.
    const key = `${uid}:${isLinkedByOthers(stats)}:${readName(name)?.incident ?? name}`
    const group = groups.get(key)
    if (group) group.push(file)
    else groups.set(key, [file])
  }
  const endMs = performance.now() + READ_MS
  const incidents = [...groups.values()]
    .map((files) => incidentOf(files, endMs))
    .sort((one, other) => other.atMs - one.atMs)
  return { incidents, notes: firstOf(unseen) }
}

/** The paths that a report reads: a file, or all profiles and snapshots of a directory, and where their `.json` may be. */
export function evidenceIn(path: string): string[] {
  const files = statSync(path).isDirectory()
    ? readFolder(path).incidents.flatMap((incident) => incident.files)
    : [path]
  return files.flatMap((file) => [file, ...descriptionsOf(file)])
}

/** Names of the files in a directory that the monitor has not finished writing, sorted. */
export function unfinishedFiles(directory: string): string[] {
  return readdirSync(directory).filter(isUnfinished).sort()
}

/**
 * One line for each unfinished file in a directory. After {@link MOST_HINTS} lines, the last one says how many more there are.
 */
export function unfinishedHints(directory: string): readonly string[] {
  return firstOf(unfinishedFiles(directory).map((name) => hintAt(directory, name)))
}

/** The first {@link MOST_HINTS} lines and, if there are more, a line that says how many. */
function firstOf(lines: readonly string[]): readonly string[] {
  const first = lines.slice(0, MOST_HINTS)
  return lines.length > MOST_HINTS ? [...first, `and ${lines.length - MOST_HINTS} more`] : first
}

function hintAt(directory: string, name: string): string {
  const described = descriptionsOf(join(directory, name.slice(0, -PARTIAL_SUFFIX.length)))
  // The monitor creates the `.json` before the `.partial`. A `.partial` without it is a complete dump that could not get its
  // final name, because other files had taken all names that the monitor tried.
  if (described.some((path) => isThere(path)))
    return `${name} is still being written, unless its process was killed: look again later`
  return `${name} has no .json, so no process is writing it: report can read it if it is a complete dump whose final names other files had taken`
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
  readonly path: string
  readonly uid: number
  readonly sizeBytes: number
  readonly mtimeMs: number
}

/** The files of one dump: at least one, all of one owner. */
type FoundFiles = [FoundFile, ...FoundFile[]]

function incidentOf(listed: Readonly<FoundFiles>, endMs: number): Incident {
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
 * The status of a file; of a symbolic link itself, not of its target. `undefined` if the file was deleted since the directory was
 * listed.
 *
 * @throws The file system's error if the status cannot be read for another reason.
 */
function statOf(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false })
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
