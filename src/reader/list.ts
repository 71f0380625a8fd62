import { basename } from 'node:path'
import { answerOf, named, ofThread, open, readProfilePart } from './answer'
import { foreignDescription, readCircumstances, readName } from './artefact'
import type { Folder, Incident } from './folder'
import { haveSeveralOwners, readFolder } from './folder'
import { UnreadableError } from './json'
import type { ListOptions } from './options'
import { NO_SOURCE_MAPS } from './source-maps'
import { formatBytes, printable } from './units'

/** Maximum size of a profile that is read for the list, bytes: its objects take up to 280 MB of heap. Most profiles have 1 MB. */
const MAX_READ_BYTES = 8 * 1024 * 1024
/** Time for reading profiles for the list, ms. The remaining dumps are listed without a verdict. */
const READ_MS = 30_000

/** One dump in the list, as `ls --json` prints it. */
export interface Listed {
  readonly at: string
  readonly kind: 'cpu' | 'memory'
  readonly rule?: string
  readonly files: readonly string[]
  readonly sizeBytes: number
  /** A sentence on what used the CPU time or the memory, from the description or a profile. Snapshots are not read for it. */
  readonly verdict: string
  /** One note for each `.json` description that was not read for the verdict, and why. Absent if there is none. */
  readonly notes?: readonly string[]
}

/** The dumps in a directory. */
export interface List {
  readonly incidents: readonly Listed[]
  /** One note for each entry of the directory that cannot be looked at. */
  readonly notes: readonly string[]
}

/**
 * Lists the dumps in a directory. A file that cannot be read does not prevent the others from being listed.
 *
 * @param readMs - Time for reading profiles, ms.
 * @throws UnreadableError if the directory cannot be read.
 */
export function listIncidents({ directory, sinceMs, sort }: ListOptions, readMs = READ_MS): List {
  const { incidents: all, notes } = read(directory)
  const isMixed = haveSeveralOwners(all)
  const incidents = all.filter(({ atMs }) => atMs >= sinceMs)
  if (sort === 'size') incidents.sort((one, other) => other.sizeBytes - one.sizeBytes)
  if (sort === 'kind') incidents.sort((one, other) => one.kind.localeCompare(other.kind))
  const endMs = performance.now() + readMs
  const listed = incidents.map((incident) => ({
    at: new Date(incident.atMs).toISOString(),
    kind: incident.kind,
    ...(incident.rule !== undefined && { rule: incident.rule }),
    files: incident.files.map((file) => basename(file)),
    sizeBytes: incident.sizeBytes,
    verdict:
      (isMixed ? `Files of user ${incident.owner}: ` : '') +
      (performance.now() < endMs ? quickVerdict(incident) : nameOnly(incident)),
    ...notesOn(incident, endMs),
  }))
  return { incidents: listed, notes }
}

/**
 * Formats the list of dumps for a terminal.
 *
 * @param hints - Lines that follow the list.
 */
export function writeList({ incidents: listed, notes: unseen }: List, hints: readonly string[] = []): string {
  const after = [...unseen, ...hints].map((hint) => `${printable(hint)}\n`).join('')
  if (listed.length === 0) return `No .cpuprofile, .heapprofile or .heapsnapshot file.\n${after}`
  const rows = listed.map(({ at, kind, rule, sizeBytes, files, verdict, notes = [] }) => ({
    cells: [at.slice(0, 19).replace('T', ' '), kind, rule ?? '-', formatBytes(sizeBytes), files[0] ?? ''],
    below: [verdict, ...notes],
  }))
  const widths = [0, 1, 2, 3, 4].map((column) =>
    rows.reduce((width, { cells }) => Math.max(width, cells[column]?.length ?? 0), 0),
  )
  const lines = rows.map(({ cells, below }) => {
    const line = cells.map((cell, column) => printable(cell).padEnd(widths[column] ?? 0)).join('  ')
    return [line.trimEnd(), ...below.map((text) => `    ${printable(text)}`), ''].join('\n')
  })
  return lines.join('') + after
}

function read(directory: string): Folder {
  try {
    return readFolder(directory)
  } catch (error) {
    throw named(directory, error)
  }
}

/** The verdict on a dump from the profile of the thread at fault. A snapshot is not read: that takes too long for a list. */
function quickVerdict({ files, owner: uid }: Incident): string {
  const [main = ''] = files
  const circumstances = readCircumstances(main, uid)
  const worker = readName(main)?.worker
  const profile = files.find((file) => !/\.heapsnapshot/.test(file) && readName(file)?.worker === worker)
  const thread = circumstances?.thread === undefined ? '' : `${circumstances.thread}: `
  const owner = circumstances?.owner === undefined ? thread : `${circumstances.owner.sentence} `
  if (profile === undefined) return `${owner}Read it with: report ${basename(main)}`
  try {
    const input = open(profile, uid)
    if (input.sizeBytes > MAX_READ_BYTES)
      return `${owner}The profile is too large for this list; read it with: report ${basename(main)}`
    const part = ofThread(readProfilePart(input, NO_SOURCE_MAPS, MAX_READ_BYTES), circumstances)
    return answerOf(part, circumstances).sentence
  } catch (error) {
    const { message } = error instanceof UnreadableError ? error : named(profile, error)
    return `Unreadable: ${basename(profile)} ${message.replace(`${profile} `, '')}`
  }
}

function notesOn({ files, owner }: Incident, endMs: number): Pick<Listed, 'notes'> {
  const isTime = performance.now() < endMs
  const notes = isTime ? files.flatMap((file) => foreignDescription(file, owner)) : []
  return notes.length === 0 ? {} : { notes }
}

function nameOnly({ files: [main = ''] }: Incident): string {
  return `Not read, because the other profiles took too long. Read it with: report ${basename(main)}`
}
