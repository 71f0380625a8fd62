import { lstatSync, readdirSync, type Stats, statSync } from 'node:fs'
import { join } from 'node:path'
import { descriptionsOf, isUnfinished, LATEST_MS, readCircumstances, readName } from './artefact'
import type { Circumstances } from './model'

const EXTENSION = /\.(cpuprofile|heapprofile|heapsnapshot)(\.gz)?$/

/** The files of one dump, or one file of other origin. */
export interface Incident {
  /**
   * Absolute paths, the thread at fault first: the busiest one, the one whose heap holds most of the memory, or, for a rule about the
   * main thread, that. Of a thread the snapshot comes before the sampling profile.
   */
  readonly files: readonly string[]
  readonly sizeBytes: number
  /** Users to whom the files belong. Whoever may write in a directory can leave files there that look like dumps. */
  readonly owners: readonly number[]
  readonly atMs: number
  readonly kind: 'cpu' | 'memory'
  /** What asked for the dump; `undefined` for files that are not of the monitor. */
  readonly rule?: string
}

const MOST_HINTS = 100
/** When descriptions have been read for this time, the files of the other dumps are in the order of their names, ms. */
const READ_MS = 10_000

/** What lies in a directory, the newest first. Symbolic links are not followed. */
export function readFolder(directory: string): Incident[] {
  const groups = new Map<string, string[]>()
  for (const name of readdirSync(directory).sort()) {
    const path = join(directory, name)
    if (!EXTENSION.test(name) || statOf(path)?.isFile() !== true) continue
    const key = readName(name)?.incident ?? name
    const group = groups.get(key)
    if (group) group.push(path)
    else groups.set(key, [path])
  }
  const endMs = performance.now() + READ_MS
  return [...groups.values()]
    .map((paths) => incidentOf(paths, endMs))
    .sort((one, other) => other.atMs - one.atMs)
}

/** The artefacts that a path names, of a directory all, and where their descriptions may stand. */
export function evidenceIn(path: string): string[] {
  const files = statSync(path).isDirectory() ? readFolder(path).flatMap((incident) => incident.files) : [path]
  return files.flatMap((file) => [file, ...descriptionsOf(file)])
}

/** Names of the files of a directory that the monitor has not finished. */
export function unfinishedFiles(directory: string): string[] {
  return readdirSync(directory).filter(isUnfinished).sort()
}

/** A hint for each dump of a directory that cannot be read yet. */
export function unfinishedHints(directory: string): string[] {
  const names = unfinishedFiles(directory)
  const hints = names
    .slice(0, MOST_HINTS)
    .map((name) => `${name} is still being written, unless its process was killed: look again later`)
  return names.length > MOST_HINTS ? [...hints, `and ${names.length - MOST_HINTS} more`] : hints
}

/** Whether files of more than one user lie there. */
export function haveSeveralOwners(incidents: readonly Incident[]): boolean {
  return new Set(incidents.flatMap(({ owners }) => owners)).size > 1
}

/** `user 1000`, `users 0 and 1000`. */
export function ownersInWords({ owners }: Incident): string {
  return `${owners.length > 1 ? 'users' : 'user'} ${owners.join(' and ')}`
}

function incidentOf(paths: readonly string[], endMs: number): Incident {
  const isRead = (): boolean => paths.length > 1 && performance.now() < endMs
  // Nothing else of a description is kept: there can be a hundred thousand.
  const found = paths.map((path) => {
    const circumstances = isRead() ? readCircumstances(path) : undefined
    return { path, isOfAnother: isOfAnother(circumstances), busyMs: circumstances?.busyMs ?? 0 }
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
  const stats = files.flatMap((file) => statOf(file) ?? [])
  return {
    files,
    sizeBytes: stats.reduce((sum, { size }) => sum + size, 0),
    owners: [...new Set(stats.map(({ uid }) => uid))],
    // A name, and a file system with times of 64 bits, can have later ones.
    atMs: Math.min(LATEST_MS, name?.startedAtMs ?? Math.max(0, ...stats.map(({ mtimeMs }) => mtimeMs))),
    kind: name?.kind ?? (/\.cpuprofile/.test(main) ? 'cpu' : 'memory'),
    ...(name && { rule: name.rule }),
  }
}

/** `undefined` when it was deleted since the directory was listed. */
function statOf(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false })
}

/** Whether a file is of another thread than the rule, or than most of the memory. */
function isOfAnother(circumstances: Circumstances | undefined): boolean {
  if (circumstances === undefined) return false
  const { isOfMain, kind, owner, worker } = circumstances
  if (isOfMain) return worker !== undefined
  return kind === 'memory' && owner?.worker !== undefined && owner.worker !== worker
}

function rank(path: string): number {
  return /\.heapsnapshot/.test(path) ? 0 : 1
}
