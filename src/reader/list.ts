import { basename } from 'node:path'
import { answerOf, named, ofThread, open, readProfilePart } from './answer'
import { foreignContent, foreignDescription, readCircumstances, readName } from './artefact'
import type { Folder, Incident } from './folder'
import { haveSeveralOwners, readFolder } from './folder'
import { userInWords } from './input'
import { UnreadableError } from './json'
import type { ListOptions } from './options'
import { NO_SOURCE_MAPS } from './source-maps'
import { formatBytes, formatCount, printable, printableJson } from './units'

/**
 * Maximum size of a profile that is read for the list, bytes. Even this size takes up to 280 MB of heap. Most have about 1 MB.
 */
const MAX_READ_BYTES = 8 * 1024 * 1024
/** Maximum time for reading profiles for the list, ms. Dumps that are not reached in this time are listed without a verdict. */
const READ_MS = 30_000

/**
 * Number of characters of the verdicts and notes in a list after which the remaining dumps are listed without verdict and notes,
 * only by name. The names do not count, because the file system limits their length.
 */
const MOST_CHARACTERS = 4 * 1024 * 1024
/** Maximum number of files of one dump that the list names. The monitor writes at most two for each thread that it dumps. */
const MOST_FILES = 1000

/** One dump in the list, as `ls --json` prints it. */
export interface Listed {
  readonly at: string
  readonly kind: 'cpu' | 'memory'
  readonly rule?: string
  readonly files: readonly string[]
  readonly sizeBytes: number
  /**
   * What used the CPU time or the memory, from a profile or the `.json` description; or why this is not known. Snapshots are
   * not read for it.
   */
  readonly verdict: string
  /**
   * A note for each `.json` description that was refused because it is a link or may be of another user, one for each file that
   * may be of another user, and one if the dump has more files than `files` names. Absent if there is no note.
   */
  readonly notes?: readonly string[]
}

/** The dumps in a directory. */
export interface List {
  readonly incidents: readonly Listed[]
  /** Notes on files whose status cannot be read, and on the number of verdicts that are left out of a long list. */
  readonly notes: readonly string[]
}

/**
 * Lists the dumps in a directory. A file that cannot be read does not prevent the others from being listed.
 *
 * @param readMs - Maximum time for reading profiles, ms.
 * @param mostCharacters - Number of characters of verdicts and notes after which the remaining dumps get neither.
 * @throws UnreadableError if the directory cannot be read.
 */
export function listIncidents(
  { directory, sinceMs, sort }: ListOptions,
  readMs = READ_MS,
  mostCharacters = MOST_CHARACTERS,
): List {
  const { incidents: all, notes } = read(directory)
  const isMixed = haveSeveralOwners(all)
  const incidents = all.filter(({ atMs }) => atMs >= sinceMs)
  if (sort === 'size') incidents.sort((one, other) => other.sizeBytes - one.sizeBytes)
  if (sort === 'kind') incidents.sort((one, other) => one.kind.localeCompare(other.kind))
  const endMs = performance.now() + readMs
  let characters = mostCharacters
  let left = 0
  const listed = incidents.map((incident): Listed => {
    const isRead = characters > 0 && performance.now() < endMs
    if (characters <= 0) left += 1
    const answer = isRead ? quickVerdict(incident) : nameOnly(incident, characters <= 0)
    const found = isRead ? notesOn(incident) : []
    characters -= isRead ? found.reduce((sum, { length }) => sum + length, answer.length) : 0
    const more = incident.files.length - MOST_FILES
    const notesHere = more > 0 ? [...found, `${formatCount(more, 'more file')} of this dump.`] : found
    return {
      at: new Date(incident.atMs).toISOString(),
      kind: incident.kind,
      ...(incident.rule !== undefined && { rule: incident.rule }),
      files: incident.files.slice(0, MOST_FILES).map((file) => basename(file)),
      sizeBytes: incident.sizeBytes,
      verdict: (isMixed ? `Files of ${userInWords(incident.owner)}: ` : '') + answer,
      ...(notesHere.length > 0 && { notes: notesHere }),
    }
  })
  const cut = left === 0 ? [] : [`The list is long: ${formatCount(left, 'verdict')} left out.`]
  return { incidents: listed, notes: [...notes, ...cut] }
}

/**
 * Formats the list of dumps for a terminal. Yields the text in pieces, because the names of many files alone can exceed the
 * maximum length of a string.
 *
 * @param hints - Lines that follow the list.
 */
export function* writeList(
  { incidents: listed, notes: unseen }: List,
  hints: readonly string[] = [],
): Generator<string> {
  if (listed.length === 0) yield 'No .cpuprofile, .heapprofile or .heapsnapshot file.\n'
  const rows = listed.map(({ at, kind, rule, sizeBytes, files, verdict, notes = [] }) => ({
    cells: [at.slice(0, 19).replace('T', ' '), kind, rule ?? '-', formatBytes(sizeBytes), files[0] ?? ''],
    below: [verdict, ...notes],
  }))
  const widths = [0, 1, 2, 3, 4].map((column) =>
    rows.reduce((width, { cells }) => Math.max(width, cells[column]?.length ?? 0), 0),
  )
  for (const { cells, below } of rows) {
    const line = cells.map((cell, column) => printable(cell).padEnd(widths[column] ?? 0)).join('  ')
    yield [line.trimEnd(), ...below.map((text) => `    ${printable(text)}`), ''].join('\n')
  }
  for (const hint of [...unseen, ...hints]) yield `${printable(hint)}\n`
}

/** Formats the list of dumps as one JSON object. Yields it in pieces, because it can exceed the maximum length of a string. */
export function* jsonOfList({ incidents, notes }: List, unfinished: readonly string[]): Generator<string> {
  yield '{\n'
  yield* jsonOfItems('incidents', incidents)
  yield ',\n'
  yield* jsonOfItems('notes', notes)
  yield ',\n'
  yield* jsonOfItems('unfinished', unfinished)
  yield '\n}\n'
}

function* jsonOfItems(name: string, items: readonly unknown[]): Generator<string> {
  yield `  "${name}": [`
  for (const [index, item] of items.entries())
    yield `${index === 0 ? '' : ','}\n    ${printableJson(item).replaceAll('\n', '\n    ')}`
  yield items.length === 0 ? ']' : '\n  ]'
}

function read(directory: string): Folder {
  try {
    return readFolder(directory)
  } catch (error) {
    throw named(directory, error)
  }
}

/**
 * The verdict on a dump, from the profile of the thread at fault; without such a profile, what the `.json` description says.
 * Snapshots are not read, because that takes too long for a list.
 */
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

function notesOn({ files, owner }: Incident): readonly string[] {
  return files
    .slice(0, MOST_FILES)
    .flatMap((file) => [...foreignContent(file), ...foreignDescription(file, owner)])
}

function nameOnly({ files: [main = ''] }: Incident, isLong: boolean): string {
  const why = isLong ? 'the verdicts on the other dumps are too long' : 'the other profiles took too long'
  return `Not read, because ${why}. Read it with: report ${basename(main)}`
}
