import { statSync } from 'node:fs'
import { basename } from 'node:path'
import { answerOf, named, ofThread, open, readProfilePart } from './answer'
import { foreignDescription, foreignNote, readCircumstances, readName } from './artefact'
import type { Folder, Incident } from './folder'
import { haveSeveralOwners, readFolder, unfinishedHints } from './folder'
import type { Input } from './input'
import { readProfile, userInWords } from './input'
import { reasonOf, UnreadableError } from './json'
import type { Part, Report, Verdict } from './model'
import { compareCpuProfiles } from './profile/cpu-growth'
import type { Analysis } from './snapshot/run-child'
import { analyseInChild } from './snapshot/run-child'
import type { Locator } from './source-maps'
import { createLocator } from './source-maps'
import { formatBytes, formatCount } from './units'

/** Maximum number of unreadable dumps, and of unreadable files of one dump, that a report names. It only mentions the others. */
const MOST_FAILURES = 3
/** Maximum number of other dumps in the directory that a report lists. */
const MOST_OTHERS = 1000
/** Maximum time of the search for a dump that can be read, ms. If no file could be read by then, no further file is opened. */
const READ_MS = 60_000
/** Time after which no further file of a dump is opened if at least one could be read, ms. A large snapshot takes minutes. */
const DUMP_READ_MS = 10 * 60_000
/** Maximum number of files of a dump that a report reads. The monitor writes at most two for each thread that it dumps. */
const MOST_FILES = 100

export interface ReportRequest {
  readonly paths: readonly string[]
  readonly sourceMaps?: string
  readonly onProgress: (text: string) => void
  /**
   * Maximum time of the search in a directory, ms. If no file could be read by then, no further file is opened; a read that has
   * begun is not interrupted. @default 60 s
   */
  readonly readMs?: number
  /** Time after which no further file of a dump is opened if at least one could be read, ms. @default 10 min */
  readonly dumpReadMs?: number
  /** Calls `start`, which starts the analysis of snapshots, and cancels the analysis if the user ends the command. */
  readonly runAnalysis: (start: () => Analysis) => Analysis['result']
}

/**
 * Creates the report on one file, on the newest dump in a directory, or on two snapshots or CPU profiles to compare.
 *
 * @throws UnreadableError when none of the files can be read.
 */
export async function createReport(request: ReportRequest): Promise<Report> {
  const paths = inOrder(request.paths)
  const [first = '', second] = paths
  if (second === undefined && isDirectory(first)) return reportFolder(first, request)
  const inputs = paths.map((path) => open(path))
  if (new Set(inputs.map(({ kind }) => kind)).size > 1) {
    throw new UnreadableError(
      'two files can be compared if both are heap snapshots, or both are CPU profiles',
    )
  }
  const { parts, answers, notes } = await partsOf(inputs, request)
  // The verdict of a comparison is about what changed between the two files, not about what is largest in the later one.
  const verdict = second === undefined ? answers[0] : parts[0]?.verdict
  return compose(second ?? first, inputs.at(-1)?.id.uid, verdict, parts, [], notes)
}

/** Puts the earlier of two files first, if the names of both contain their time. */
function inOrder(paths: readonly string[]): readonly string[] {
  const [first, second] = paths.map((path) => readName(path)?.startedAtMs)
  return first !== undefined && second !== undefined && first > second ? [...paths].reverse() : paths
}

/** Reports the newest dump that can be read: others who may write in the directory can leave useless files that look newer. */
async function reportFolder(
  directory: string,
  request: ReportRequest,
  { readMs = READ_MS } = request,
): Promise<Report> {
  const { incidents, notes: unseen } = read(directory)
  const notes = [...unfinishedHints(directory), ...unseen]
  if (incidents.length === 0) {
    const nothing = `${directory} holds no .cpuprofile, .heapprofile or .heapsnapshot file`
    throw new UnreadableError([nothing, ...notes].join('; '))
  }
  let failure: unknown
  const endMs = performance.now() + readMs
  for (const [index, incident] of incidents.entries()) {
    if (failure !== undefined && performance.now() >= endMs)
      throw new UnreadableError(tookTooLong(index, failure))
    try {
      return await reportIncident(directory, incident, incidents, notes, request, endMs)
    } catch (error) {
      failure ??= error
      const why = reasonOf(error)
      if (index < MOST_FAILURES) notes.push(`A newer dump cannot be read: ${why}.`)
      if (index === MOST_FAILURES) notes.push('More newer dumps cannot be read.')
    }
  }
  throw failure
}

function tookTooLong(count: number, failure: unknown): string {
  return `none of the newest ${formatCount(count, 'dump')} could be read in time (the newest: ${reasonOf(failure)}): list all dumps with ls, and report one of them`
}

/**
 * Reports one dump.
 *
 * @param endMs - Time, as of performance.now(), after which no further file is opened if none could be read.
 * @throws UnreadableError if none of the files that were opened could be read: the message of the first, and which files were not
 * opened. Other errors are thrown at once.
 */
async function reportIncident(
  directory: string,
  newest: Incident,
  incidents: readonly Incident[],
  before: readonly string[],
  request: ReportRequest,
  endMs: number,
): Promise<Report> {
  const { dumpReadMs = DUMP_READ_MS } = request
  const dumpEndMs = performance.now() + dumpReadMs
  const others = incidents.filter((incident) => incident !== newest)
  const parts: Part[] = []
  const notes: string[] = [...before]
  if (haveSeveralOwners(incidents))
    notes.push(
      `The dumps here belong to several users, and the files of this incident belong to ${userInWords(newest.owner)}.`,
    )
  let failure: Error | undefined
  let failed = 0
  let unread: string | undefined
  const [first = directory] = newest.files
  const answers: { readonly isOfFirst: boolean; readonly verdict: Verdict }[] = []
  for (const [index, file] of newest.files.entries()) {
    const isOver = performance.now() >= (parts.length === 0 ? endMs : dumpEndMs)
    if (index === MOST_FILES || (index > 0 && isOver)) {
      const why = isOver ? 'the others took too long' : 'there are too many'
      unread = `${formatCount(newest.files.length - index, 'more file')} of this dump not read, from ${basename(file)} on, because ${why}`
      break
    }
    try {
      const read = await partsOf([open(file, newest.owner)], request)
      const isOfFirst = readName(file)?.worker === readName(first)?.worker
      answers.push(...read.answers.map((verdict) => ({ isOfFirst, verdict })))
      parts.push(...read.parts)
      notes.push(...read.notes)
    } catch (error) {
      if (!(error instanceof UnreadableError)) throw error
      failure ??= error
      failed += 1
      if (failed <= MOST_FAILURES) notes.push(error.message)
    }
  }
  if (parts.length === 0 && failure !== undefined)
    throw unread === undefined ? failure : new UnreadableError(`${failure.message}; ${unread}`)
  if (unread !== undefined) notes.push(`${unread}: report them one by one.`)
  if (failed > MOST_FAILURES)
    notes.push(`${formatCount(failed - MOST_FAILURES, 'more file')} of this dump cannot be read.`)
  // The verdict comes from a file of the thread at fault, even if the file of another thread has a clearer one.
  const ofFirst = answers.filter(({ isOfFirst }) => isOfFirst)
  const { verdict } = ofFirst.find((answer) => answer.verdict.found) ?? ofFirst[0] ?? answers[0] ?? {}
  return compose(first, newest.owner, verdict, parts, linesOf(others), notes)
}

function read(directory: string): Folder {
  try {
    return readFolder(directory)
  } catch (error) {
    throw named(directory, error)
  }
}

interface Parts {
  readonly parts: readonly Part[]
  /** For each part, the verdict on the dump that follows from this part. */
  readonly answers: readonly Verdict[]
  readonly notes: readonly string[]
}

/** Reads the parts of a report on one file, or on two files that are compared. */
async function partsOf(inputs: readonly Input[], request: ReportRequest): Promise<Parts> {
  const read = await readParts(inputs, request)
  const foreign = inputs.filter(({ id }) => id.isLinkedByOthers).map(({ path }) => foreignNote(path))
  const last = inputs.at(-1)
  const circumstances = last && readCircumstances(last.path, last.id.uid)
  const parts = read.parts.map((part) => ofThread(part, circumstances))
  return {
    parts,
    answers: parts.map((part) => answerOf(part, circumstances)),
    notes: [...foreign, ...read.notes],
  }
}

async function readParts(
  inputs: readonly Input[],
  { sourceMaps, onProgress, runAnalysis }: ReportRequest,
): Promise<Omit<Parts, 'answers'>> {
  if (inputs.every(({ kind }) => kind === 'snapshot')) {
    return runAnalysis(() =>
      analyseInChild(inputs, { onProgress, ...(sourceMaps !== undefined && { sourceMaps }) }),
    )
  }
  const locator = createLocator(sourceMaps)
  const [before, after] = inputs
  if (before !== undefined && after !== undefined)
    return { parts: comparedCpu(before, after, locator), notes: locator.notes() }
  return { parts: inputs.map((input) => readNamed(input, locator)), notes: locator.notes() }
}

/** Two parts: what changed between two CPU profiles, and the later profile. */
function comparedCpu(before: Input, after: Input, locator: Locator): Part[] {
  const [old, now] = [before, after].map((input) => {
    const part = readNamed(input, locator)
    if (part.kind !== 'cpu')
      throw named(input.path, new UnreadableError('is no CPU profile: heap profiles cannot be compared'))
    return { part, profile: readProfile(input), file: part.file }
  })
  return old === undefined || now === undefined ? [] : [compareCpuProfiles(old, now, locator), now.part]
}

function readNamed(input: Input, locator: Locator): Part {
  try {
    return readProfilePart(input, locator)
  } catch (error) {
    throw named(input.path, error)
  }
}

/** @param owner - Id of the user that owns the file that the report is about. */
function compose(
  path: string,
  owner: number | undefined,
  verdict: Verdict = { found: false, sentence: 'No file could be evaluated.' },
  parts: readonly Part[],
  others: readonly string[],
  notes: readonly string[],
): Report {
  const circumstances = owner === undefined ? undefined : readCircumstances(path, owner)
  const foreign = owner === undefined ? [] : foreignDescription(path, owner)
  return {
    verdict,
    title: basename(path),
    ...(circumstances && { circumstances }),
    parts,
    others,
    notes: [...notes, ...foreign],
  }
}

function linesOf(others: readonly Incident[]): string[] {
  const lines = others.slice(0, MOST_OTHERS).map(lineOf)
  return others.length > MOST_OTHERS
    ? [...lines, `and ${others.length - MOST_OTHERS} more: the command ls of this tool lists them`]
    : lines
}

/** One line on a dump that is not reported in full. */
function lineOf({ files, atMs, rule, sizeBytes }: Incident): string {
  const [main = ''] = files
  const why = rule === undefined ? 'file' : `${rule} ${readName(main)?.kind ?? ''}`.trim()
  return `${new Date(atMs).toISOString()}  ${why}  ${basename(main)}  ${formatBytes(sizeBytes)}`
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch (error) {
    throw named(path, error)
  }
}
