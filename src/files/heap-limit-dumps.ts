import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { parseArtefactName, sidecarName, type ParsedName } from '../core/names'
import { CHILD_DEADLINE_MS, STALE_GRACE_MS, TOOL } from '../core/retention'
import type { DraftSidecar, Sidecar } from './artefact'
import { MAX_SIDECAR_BYTES } from './read-sidecar'

/** One dump that a process left at its heap limit. */
export interface HeapLimitDump {
  readonly pid: number
  readonly startedAtMs: number
  /** Its whole artefacts, the snapshot first. */
  readonly artefacts: readonly { readonly file: string; readonly sidecar: Sidecar }[]
  /** A child may still be working on one of them. */
  readonly isBeingWritten: boolean
}

/** What is added to a sidecar's name while the sidecar is marked as reported: whoever creates the file reports. */
const CLAIM_SUFFIX = '.reported'
/** A claim this old was left behind by a process that died, ms. */
const STALE_CLAIM_MS = 60_000

type Marked = Sidecar & { readonly reported?: unknown }

/**
 * How many dumps at the heap limit processes of this host began in a directory since a time, by their sidecars. One that left
 * nothing does not count.
 */
export function countHeapLimitDumps(directory: string, host: string, sinceMs: number): number {
  const recent = namesIn(directory).filter(
    ({ part, startedAtMs }) => part === 'sidecar' && startedAtMs >= sinceMs,
  )
  const own = recent.filter(({ artefact }) => readOwn(directory, artefact)?.where.host === host)
  return new Set(own.map(({ baseName }) => baseName)).size
}

/** The dumps of this host in a directory that no process has reported yet, oldest first. */
export function findUnreported(directory: string, host: string, nowMs: number): readonly HeapLimitDump[] {
  const dumps = new Map<string, ParsedName[]>()
  for (const name of namesIn(directory)) {
    dumps.set(name.baseName, [...(dumps.get(name.baseName) ?? []), name])
  }
  return [...dumps.values()]
    .flatMap((names) => readDump(directory, host, names, nowMs))
    .sort((one, other) => one.startedAtMs - other.startedAtMs)
}

/**
 * Marks an artefact's sidecar as reported.
 *
 * Of several processes that start at the same time one succeeds: the marked text is written to a file that only one of them can
 * create, and renamed over the sidecar, which ends the claim in the same step.
 *
 * @returns `false` when it has been reported, is being reported by another process, or cannot be marked.
 */
export function claimReport(file: string, pid: number, nowMs: number): boolean {
  const sidecarPath = sidecarName(file)
  const claim = sidecarPath + CLAIM_SUFFIX
  removeStale(claim, nowMs)
  let descriptor: number
  try {
    descriptor = openSync(claim, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600)
  } catch {
    return false
  }
  try {
    // Read after the claim: another process may have finished in between.
    const sidecar = readSidecarWhole(sidecarPath)
    if (!sidecar || sidecar.reported !== undefined) throw new Error('reported already')
    const reported = { at: new Date(nowMs).toISOString(), pid }
    writeFileSync(descriptor, `${JSON.stringify({ ...sidecar, reported }, undefined, 2)}\n`)
    fsyncSync(descriptor)
    renameSync(claim, sidecarPath)
    return true
  } catch {
    removeQuietly(claim)
    return false
  } finally {
    closeSync(descriptor)
  }
}

/** What of a dump lies in the directory now; nothing when it is not of this host or has been reported. */
function readDump(
  directory: string,
  host: string,
  names: readonly ParsedName[],
  nowMs: number,
): readonly HeapLimitDump[] {
  const [{ pid, startedAtMs } = { pid: 0, startedAtMs: 0 }] = names
  const whole = names.filter(
    ({ part, artefact }) =>
      part === 'artefact' && !names.some((other) => other.part === 'partial' && other.artefact === artefact),
  )
  const artefacts = whole
    .flatMap(({ artefact }) => {
      const sidecar = readOwn(directory, artefact)
      const isNews = sidecar?.where.host === host && isWhole(sidecar) && sidecar.reported === undefined
      return isNews ? [{ file: join(directory, artefact), sidecar }] : []
    })
    .sort((one, other) => Number(isSnapshot(other.file)) - Number(isSnapshot(one.file)))
  const unfinished = names.filter(({ part }) => part === 'partial')
  const isBeingWritten = unfinished.some(({ artefact }) => {
    const deadlineMs = Number(
      readOwn(directory, artefact)?.where.limits['childDeadlineMs'] ?? CHILD_DEADLINE_MS,
    )
    return nowMs - startedAtMs <= deadlineMs + STALE_GRACE_MS
  })
  if (artefacts.length === 0 && !isBeingWritten) return []
  return [{ pid, startedAtMs, artefacts, isBeingWritten }]
}

const isSnapshot = (file: string): boolean => file.endsWith('.heapsnapshot')

function isWhole(sidecar: DraftSidecar | Sidecar): sidecar is Sidecar {
  return 'how' in sidecar
}

function namesIn(directory: string): ParsedName[] {
  try {
    return readdirSync(directory)
      .filter((name) => name.startsWith('heap-limit-'))
      .map(parseArtefactName)
      .filter((name) => name?.rule === 'heap-limit')
      .filter((name) => name !== undefined)
  } catch {
    // Not made yet, or not to be read: nothing to report.
    return []
  }
}

/** The sidecar of an artefact of ours in its own directory, or nothing. */
function readOwn(directory: string, artefact: string): Marked | undefined {
  const sidecar = readSidecarWhole(join(directory, sidecarName(artefact)))
  const isOurs =
    sidecar?.tool === TOOL && sidecar.artefact === artefact && sidecar.where.directory === directory
  return isOurs ? sidecar : undefined
}

/** As `readSidecar` does, follows no symlink, and believes only files of this process's own user. */
function readSidecarWhole(path: string): Marked | undefined {
  let descriptor: number | undefined
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    const stats = fstatSync(descriptor)
    const isOwn = process.geteuid === undefined || stats.uid === process.geteuid()
    if (!stats.isFile() || !isOwn || stats.size > MAX_SIDECAR_BYTES) return undefined
    const json = JSON.parse(readFileSync(descriptor, 'utf8')) as Partial<Marked> | null
    const isSidecar = typeof json?.where?.host === 'string' && typeof json.where.limits === 'object'
    return isSidecar ? (json as Marked) : undefined
  } catch {
    return undefined
  } finally {
    if (descriptor !== undefined) closeSync(descriptor)
  }
}

function removeStale(claim: string, nowMs: number): void {
  try {
    if (nowMs - lstatSync(claim).mtimeMs > STALE_CLAIM_MS) unlinkSync(claim)
  } catch {
    // There is none.
  }
}

function removeQuietly(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // Found again by its age.
  }
}
