import { lstatSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { messageOf, parseJson } from '../../base/globals'
import { formatSize } from '../../base/size'
import { epochMs } from '../../base/time'
import { holdDirectory } from '../../files/directory'
import { type ArtefactExtension, parseArtefactName, type ParsedName } from '../../files/names'
import { SENT_FILE } from '../../files/sent-list'
import type { Sidecar } from '../../files/sidecar'
import { cpuSentence, memorySentence } from '../../makeup/sentence'
import { withoutUrlContents } from '../../redact/urls'
import { takeTurn } from '../../system/turn'
import { keysOf, metadataOf } from './key'
import type { UploadSettings } from './options'
import { chunksOf, gzipped, redactedChunksOf, STEP_BYTES, STEP_BYTES_ON_MAIN } from './packed'
import { SentList } from './sent'
import { openStore, type Peers, type Store } from './store'
import { isOfOne, judge, type Verdict } from './verdict'
import {
  chooseOverflow,
  deleteArtefact,
  listWaiting,
  type OpenWaiting,
  openWaiting,
  type Place,
  type Waiting,
} from './waiting'

/** What a round needs to know. Plain data. */
export interface RoundOrder {
  readonly directories: readonly string[]
  readonly host: string
  readonly settings: UploadSettings
  readonly peers: Peers
  readonly isOnThread: boolean
  /** Full paths of artefacts that are not to be sent, whatever the directory lists, and why. Grows with the round. */
  readonly done: Map<string, Done>
  /** Full paths of artefacts at which earlier rounds failed. They are sent last: the failure may be due to one of them. */
  readonly last: ReadonlySet<string>
}

/**
 * Why an artefact is not to be sent by this process. `unlisted`: it was sent, and cannot be noted in the directory. `another`: it is
 * another file than the monitor wrote. `unsendable`: S3 or a proxy before it does not take this one, or it cannot be read or redacted.
 */
export type Done = 'unlisted' | 'another' | 'unsendable'

/** How a round ended. `busy`: another process sends what lies in a directory. */
export type RoundEnd =
  | {
      readonly type: 'done' | 'busy'
      /** S3 has answered. Not where nothing waited, or a neighbour sent it all. */
      readonly hasAnswered: boolean
    }
  | Failed

interface Failed {
  readonly type: 'failed'
  readonly verdict: Verdict
  /** Full path of the artefact that was to be sent. */
  readonly file?: string
}

/** What the operator should read. `failing`: the file cannot be read now, and is tried again. */
export type RoundNews =
  | { readonly type: 'sent'; readonly line: string }
  | { readonly type: 'lost'; readonly message: string }
  | {
      readonly type: Done | 'failing'
      readonly directory: string
      /** Full path of the artefact, for {@link RoundOrder.done}. */
      readonly file: string
      readonly message: string
    }

/** A neighbour that has its turn longer than this has more to send, ms. */
const TURN_MS = 300
/** What waits longer than this while a neighbour has its turn counts as what stays, ms: the neighbour may hang. */
const LONG_WAIT_MS = 600_000

/** What the functions of a round share. */
interface Round extends RoundOrder {
  readonly store: () => Store
  readonly tell: (news: RoundNews) => void
  readonly early: AbortSignal
  hasAnswered: boolean
}

/**
 * Sends all that waits in the directories, one artefact after the other. Never rejects.
 *
 * The directories are the queue: what was not sent is found again by the next round, of this process or of the next one.
 */
export async function runRound(
  order: RoundOrder,
  tell: (news: RoundNews) => void,
  early: AbortSignal,
): Promise<RoundEnd> {
  let store: Store | undefined
  let isBusy = false
  let failed: Failed | undefined
  const open = (): Store => (store ??= openStore(order.settings, order.peers, order.isOnThread))
  const round: Round = { ...order, store: open, tell, early, hasAnswered: false }
  const closeEarly = (): void => store?.close()
  early.addEventListener('abort', closeEarly)
  try {
    const isSuspect = (directory: string): boolean =>
      [...order.last].some((file) => dirname(file) === directory)
    for (const directory of lastOf(order.directories, isSuspect)) {
      const send = async (place: Place): Promise<void> => {
        // Read anew in the turn: a neighbour may have sent some of it.
        const sent = sentOf(place, order.settings)
        failed ??= await sendAll(place, round, sent)
      }
      await within(directory, async (path) => {
        const place = { directory, place: path }
        if (order.settings.deleteAfterUpload) deleteReported(place, order.settings)
        const end = await inTurn(place, round, send)
        isBusy ||= end === 'busy'
        await makeRoom(place, round, failed ? Infinity : end === 'busy' ? epochMs() - LONG_WAIT_MS : 0)
      })
    }
    return failed ?? { type: isBusy ? 'busy' : 'done', hasAnswered: round.hasAnswered }
  } catch (error) {
    return { type: 'failed', verdict: judge(error, order.settings.bucket) }
  } finally {
    early.removeEventListener('abort', closeEarly)
    store?.close()
  }
}

/** A directory that is not there, or cannot be read, holds nothing to send; the monitor reports it where it matters. */
async function within<T>(directory: string, work: (place: string) => Promise<T>): Promise<T | undefined> {
  let held
  try {
    held = holdDirectory(directory)
  } catch {
    return undefined
  }
  try {
    return await work(held.place)
  } finally {
    held.close()
  }
}

/** One process at a time sends from a directory: the kernel takes the turn back from one that dies. */
async function inTurn(
  place: Place,
  round: Round,
  work: (place: Place) => Promise<void>,
): Promise<'busy' | undefined> {
  const { early } = round
  if (early.aborted || (await listUnsent(place, round, sentOf(place, round.settings))).length === 0)
    return undefined
  const endTurn = await takeTurn({ longestMs: TURN_MS, early, name: turnName(place.place) })
  if (!endTurn) return 'busy'
  try {
    await work(place)
    return undefined
  } finally {
    endTurn()
  }
}

/** @returns Why nothing can be sent at the moment, if so. What S3 has against one artefact does not keep back the others. */
async function sendAll(place: Place, round: Round, sent: SentList): Promise<Failed | undefined> {
  const fileOf = ({ name }: Waiting): string => join(place.directory, name.artefact)
  const unsent = await listUnsent(place, round, sent)
  sent.prune((artefact) => isThere(join(place.place, artefact)))
  for (const waiting of lastOf(unsent, (one) => round.last.has(fileOf(one)))) {
    if (round.early.aborted) break
    try {
      await sendOne(waiting, place, round, sent)
    } catch (error) {
      return { type: 'failed', verdict: judge(error, round.settings.bucket), file: fileOf(waiting) }
    }
  }
  return undefined
}

function lastOf<T>(items: readonly T[], isLast: (item: T) => boolean): T[] {
  return [...items.filter((item) => !isLast(item)), ...items.filter(isLast)]
}

/** @param more - What is listed too, although it is not to be sent. */
async function listUnsent(
  place: Place,
  { host, done }: Pick<Round, 'host' | 'done'>,
  { names }: Pick<SentList, 'names'>,
  more: readonly Done[] = [],
): Promise<Waiting[]> {
  const isDone = (artefact: string): boolean => {
    const why = done.get(join(place.directory, artefact))
    return names.has(artefact) || (why !== undefined && !more.includes(why))
  }
  // What cannot be read cannot be sent; the monitor reports it.
  return listWaiting(place, host, isDone).catch(() => [])
}

function sentOf({ place }: Place, { endpoint = '', bucket, prefix }: UploadSettings): SentList {
  return new SentList(place, `${endpoint}/${bucket}/${prefix}`)
}

/** A name for the directory itself, whichever path leads to it. */
function turnName(place: string): string | undefined {
  if (process.platform !== 'linux') return undefined
  const { dev, ino } = statSync(place)
  return `cpu-memory-monitor/${process.geteuid?.()}/s3/${dev}:${ino}`
}

async function sendOne({ name }: Waiting, place: Place, round: Round, sent: SentList): Promise<void> {
  const { settings, host, tell } = round
  const opened = openWaiting(place.place, name.artefact)
  // Deleted in the meantime.
  if (!opened) return
  const file = join(place.directory, name.artefact)
  const finish = (type: Done | 'failing', message: string): void => {
    if (type !== 'failing') round.done.set(file, type)
    tell({ type, directory: place.directory, file, message })
  }
  try {
    if (opened.whyAnother !== undefined)
      return finish('another', `${file} is not sent: ${opened.whyAnother}, so it is another file`)
    const keys = keysOf({ ...settings, host }, name)
    if (!(await round.store().has(keys.sidecar))) {
      const problem = await put(opened, name.extension, keys, round)
      if (problem)
        return finish(problem.passes ? 'failing' : 'unsendable', `${file} is not sent: ${problem.message}`)
      const size = formatSize(opened.stats.size)
      tell({
        type: 'sent',
        line: `sent ${name.artefact} (${size}) to s3://${settings.bucket}/${keys.artefact}`,
      })
    }
    round.hasAnswered = true
    if (settings.deleteAfterUpload && isReported(name, opened))
      deleteArtefact(place.place, name, opened.stats)
    const why = sent.add(name.artefact)
    if (why !== undefined)
      finish(
        'unlisted',
        `${join(place.directory, SENT_FILE)} cannot be written (${why}): until it can, another process may send ` +
          'again what was sent',
      )
  } finally {
    opened.close()
  }
}

/**
 * Whether the artefact may be deleted once it is sent. A dump at the heap limit is reported by the next process to start there, which
 * reads it for that.
 */
function isReported(name: ParsedName, { sidecar }: OpenWaiting): boolean {
  return name.rule !== 'heap-limit' || sidecar.reported !== undefined
}

/** Deletes dumps at the heap limit that were sent before they were reported. */
function deleteReported(place: Place, settings: UploadSettings): void {
  for (const artefact of sentOf(place, settings).names) {
    const name = parseArtefactName(artefact)
    if (name?.rule !== 'heap-limit') continue
    const opened = openWaiting(place.place, artefact)
    if (opened && opened.whyAnother === undefined && isReported(name, opened))
      deleteArtefact(place.place, name, opened.stats)
    opened?.close()
  }
}

/** What is wrong with one artefact: its file cannot be read or redacted, or S3 does not take it. */
interface Problem {
  readonly message: string
  /** It may be over at the next attempt: an error of the file system. */
  readonly passes: boolean
}

/** @throws What is wrong with S3 as a whole. */
async function put(
  { fd, sidecarText }: OpenWaiting,
  extension: ArtefactExtension,
  keys: { readonly artefact: string; readonly sidecar: string },
  round: Round,
): Promise<Problem | undefined> {
  const { settings, isOnThread, store } = round
  const { redact } = settings
  const description = redact ? withoutUrlContents(sidecarText) : sidecarText
  const { why, makeup } = parseJson(description) as Sidecar
  const metadata = metadataOf({
    why: `${why.rule} ${why.kind}`,
    makeup: sentenceOf({ why, makeup }),
    service: settings.service,
    version: settings.version,
    redacted: redact ? 'true' : '',
  })
  const stepBytes = isOnThread ? STEP_BYTES : STEP_BYTES_ON_MAIN
  const content = redact ? redactedChunksOf(fd, extension, stepBytes) : chunksOf(fd, stepBytes)
  let problem: Problem | undefined
  const noted = noting(content, (error) => (problem = problemOf(error)))
  const body = Readable.from(gzipped(noted)).on('error', () => undefined)
  try {
    await store().put({ key: keys.artefact, body, contentType: 'application/gzip', metadata })
    // Last: the sign that the artefact is whole.
    await store().put({ key: keys.sidecar, body: description, contentType: 'application/json', metadata })
    return undefined
  } catch (error) {
    if (problem) return problem
    if (!isOfOne(error)) throw error
    round.hasAnswered = true
    return { message: judge(error, settings.bucket).message, passes: false }
  }
}

function problemOf(error: unknown): Problem {
  const { code } = Object(error) as { readonly code?: unknown }
  return { message: messageOf(error), passes: typeof code === 'string' }
}

/** Tells an error of the file apart from one of the connection, which it would pass through. */
async function* noting<T>(source: AsyncIterable<T>, onFailed: (error: unknown) => void): AsyncGenerator<T> {
  try {
    yield* source
  } catch (error) {
    onFailed(error)
    throw error
  }
}

function sentenceOf({ makeup, why: { kind } }: Pick<Sidecar, 'makeup' | 'why'>): string {
  try {
    if (!makeup) return ''
    return kind === 'cpu' ? cpuSentence(makeup) : memorySentence(makeup)
  } catch {
    // Written by another version.
    return ''
  }
}

/**
 * Deletes the oldest of what stays unsent, as far as it exceeds the limit: what cannot be sent, and what waits while S3 takes nothing.
 * Needs no turn: two processes choose the same artefacts, and the later one finds nothing to delete.
 *
 * @param beforeMs - Artefacts from before this time count as what stays.
 */
async function makeRoom(place: Place, round: Round, beforeMs: number): Promise<void> {
  const { settings, done, early, tell } = round
  if (early.aborted) return
  const unsent = await listUnsent(place, round, sentOf(place, settings), ['unsendable'])
  const stays = ({ name }: Waiting): boolean =>
    name.startedAtMs < beforeMs || done.get(join(place.directory, name.artefact)) === 'unsendable'
  for (const { name } of chooseOverflow(unsent.filter(stays), settings.maxBytes)) {
    const stats = lstatSync(join(place.place, name.artefact), { throwIfNoEntry: false })
    if (stats && deleteArtefact(place.place, name, stats))
      tell({
        type: 'lost',
        message: `${join(place.directory, name.artefact)} was deleted unsent: more than ${formatSize(settings.maxBytes)} wait`,
      })
  }
}

function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined
}
