import { parseJson } from '../../../base/globals'
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { parseArtefactName, partialName, sidecarName, type ParsedName } from '../../../files/names'
import { CHILD_DEADLINE_MS, STALE_GRACE_MS, TOOL } from '../../../files/expiry'
import type { DraftSidecar, Sidecar } from '../../../files/sidecar'
import { MAX_SIDECAR_BYTES } from '../../../files/sidecar'
import { serialise } from '../../../files/partial'
import { readOwnNames } from '../../../files/retention'

/** One dump that a process of this host made at its heap limit, or is making. */
export interface HeapLimitDump {
  readonly pid: number
  readonly startedAtMs: number
  /** Its whole artefacts that no process has reported, the snapshot first. */
  readonly unreported: readonly { readonly file: string; readonly sidecar: Sidecar }[]
  /** A child may still be working on one of its artefacts. */
  readonly isBeingWritten: boolean
}

/** What is added to a sidecar's name while the sidecar is marked as reported: the process that creates the file reports. */
const CLAIM_SUFFIX = '.reported'
/** A claim this old was left behind by a process that died, ms. */
const STALE_CLAIM_MS = 60_000

type Marked = (DraftSidecar | Sidecar) & { readonly reported?: unknown }

/**
 * The dumps at the heap limit that processes of this host began in a directory, by their sidecars, oldest first. One that left
 * nothing is not among them. Never rejects: a directory that cannot be read holds none.
 */
export async function readHeapLimitDumps(
  directory: string,
  host: string,
  nowMs: number,
): Promise<readonly HeapLimitDump[]> {
  const dumps = new Map<string, Described[]>()
  for (const { rule, artefact, baseName } of await namesIn(directory)) {
    const sidecar = rule === 'heap-limit' ? readOwn(directory, artefact) : undefined
    if (sidecar?.where.host !== host) continue
    dumps.set(baseName, [...(dumps.get(baseName) ?? []), { file: join(directory, artefact), sidecar }])
  }
  return [...dumps.values()]
    .map((described) => dumpOf(described, nowMs))
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
    writeFileSync(descriptor, serialise({ ...sidecar, reported }))
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

interface Described {
  readonly file: string
  readonly sidecar: Marked
}

function dumpOf(described: readonly Described[], nowMs: number): HeapLimitDump {
  const name = parseArtefactName(basename(described[0]?.file ?? ''))
  const [pid, startedAtMs] = [name?.pid ?? 0, name?.startedAtMs ?? 0]
  const unreported = described
    .flatMap(({ file, sidecar }) => (isNews(file, sidecar) ? [{ file, sidecar }] : []))
    .sort((one, other) => Number(isSnapshot(other.file)) - Number(isSnapshot(one.file)))
  const isBeingWritten = described.some(({ file, sidecar }) => {
    const deadlineMs = Number(sidecar.where.limits['childDeadlineMs'] ?? CHILD_DEADLINE_MS)
    return isThere(partialName(file)) && nowMs - startedAtMs <= deadlineMs + STALE_GRACE_MS
  })
  return { pid, startedAtMs, unreported, isBeingWritten }
}

function isNews(file: string, sidecar: Marked): sidecar is Sidecar {
  return 'how' in sidecar && sidecar.reported === undefined && isThere(file) && !isThere(partialName(file))
}

const isSnapshot = (file: string): boolean => file.endsWith('.heapsnapshot')
const isThere = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined

async function namesIn(directory: string): Promise<readonly ParsedName[]> {
  try {
    return (await readOwnNames(directory, 'sidecar')).names
  } catch {
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
    const json = parseJson(readFileSync(descriptor, 'utf8')) as Partial<Marked> | null
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
