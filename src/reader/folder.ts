import { lstatSync, readdirSync, type Stats, statSync } from 'node:fs'
import { join } from 'node:path'
import { PARTIAL_SUFFIX } from '../files/names'
import { descriptionsOf, isUnfinished, LATEST_MS, readCircumstances, readName } from './artefact'
import { reasonOf } from './json'
import type { Circumstances } from './model'

const EXTENSION = /\.(cpuprofile|heapprofile|heapsnapshot)(\.gz)?$/

/** All files of one dump, which have one owner, or a single file that the monitor did not write. */
export interface Incident {
  /**
   * Paths, those of the thread at fault first. This is the main thread if the rule is about it, else the busiest thread or the
   * thread whose heap holds most of the memory. The snapshot of a thread comes before its sampling profile.
   */
  readonly files: readonly string[]
  readonly sizeBytes: number
  /** Id of the user that owns all files. Any user who may write in the directory can leave files there that look like dumps. */
  readonly owner: number
  readonly atMs: number
  readonly kind: 'cpu' | 'memory'
  /** The rule that asked for the dump; `undefined` for files that the monitor did not write. */
  readonly rule?: string
}

const MOST_HINTS = 100
/** Time for reading the descriptions in a directory, ms. Files of the remaining dumps are not sorted by thread, but by name. */
const READ_MS = 10_000

/** The dumps in a directory. */
export interface Folder {
  /** The newest first. */
  readonly incidents: Incident[]
  /** One note for each entry that cannot be looked at; those after MOST_HINTS are only counted. */
  readonly notes: readonly string[]
}

/** Looks for the dumps in a directory. Does not follow symbolic links. */
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
      // Another user can leave such an entry: a mount of FUSE is closed to root too.
      unseen.push(`${name} cannot be looked at: ${reasonOf(error)}`)
      continue
    }
    if (stats?.isFile() !== true) continue
    const { uid, size: sizeBytes, mtimeMs } = stats
    const file = { path, uid, sizeBytes, mtimeMs }
    // The owner is a part of it, else a file of another user could join a dump and be shown as its first file.
    const key = `${uid}:${readName(name)?.incident ?? name}`
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

/** Paths of the file, or of all profiles and snapshots in the directory, and of their `.json` descriptions, existing or not. */
export function evidenceIn(path: string): string[] {
  const files = statSync(path).isDirectory()
    ? readFolder(path).incidents.flatMap((incident) => incident.files)
    : [path]
  return files.flatMap((file) => [file, ...descriptionsOf(file)])
}

/** Names of the files in a directory that the monitor has not finished, sorted. */
export function unfinishedFiles(directory: string): string[] {
  return readdirSync(directory).filter(isUnfinished).sort()
}

/** One line for each unfinished file in a directory; the lines after MOST_HINTS are only counted. */
export function unfinishedHints(directory: string): readonly string[] {
  return firstOf(unfinishedFiles(directory).map((name) => hintAt(directory, name)))
}

/** The first of the lines, and one with the number of the others. */
function firstOf(lines: readonly string[]): readonly string[] {
  const first = lines.slice(0, MOST_HINTS)
  return lines.length > MOST_HINTS ? [...first, `and ${lines.length - MOST_HINTS} more`] : first
}

function hintAt(directory: string, name: string): string {
  const described = descriptionsOf(join(directory, name.slice(0, -PARTIAL_SUFFIX.length)))
  // The monitor writes the `.json` first. It is missing beside a whole dump whose final names other files had taken.
  if (described.some((path) => isThere(path)))
    return `${name} is still being written, unless its process was killed: look again later`
  return `${name} has no .json, so no process is writing it: report can read it if it is a dump whose names were taken`
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

/** A file of the directory as it was listed. */
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
 * The status of a file, not of a link's target; `undefined` if the file was deleted since the directory was listed.
 *
 * @throws The error of the file system for any other reason.
 */
function statOf(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false })
}

/** Whether a file shows the wrong thread: not the main thread that the rule is about, or not the one that holds most memory. */
function isOfAnother(circumstances: Circumstances | undefined): boolean {
  if (circumstances === undefined) return false
  const { isOfMain, kind, owner, worker } = circumstances
  if (isOfMain) return worker !== undefined
  return kind === 'memory' && owner?.worker !== undefined && owner.worker !== worker
}

function rank(path: string): number {
  return /\.heapsnapshot/.test(path) ? 0 : 1
}
