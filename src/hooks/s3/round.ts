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
import { destinationOf, SentList } from './sent'
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

/** Input of an upload round, which sends all dump files that wait in the dump directories. It can be sent to a thread. */
export interface RoundOrder {
  readonly directories: readonly string[]
  readonly host: string
  readonly settings: UploadSettings
  readonly peers: Peers
  readonly isOnThread: boolean
  /** Full paths of dump files that must not be sent, each with the reason. The round adds entries. */
  readonly done: Map<string, Done>
  /** Full paths of dump files at which earlier rounds failed. They are sent last, because one may have caused the failure. */
  readonly last: ReadonlySet<string>
  /** Full paths of dump files of this process. They are sent even if the directory cannot be read to its end. */
  readonly own: ReadonlySet<string>
}

/**
 * Why this process must not send a dump file. `unlisted`: it was sent, but the list of sent files cannot be written. `another`:
 * it is not the file that the monitor wrote. `unsendable`: S3 or a proxy rejects this file, or it cannot be read or redacted.
 */
export type Done = 'unlisted' | 'another' | 'unsendable'

/** How an upload round ended. `busy`: another process is uploading the files of a directory. */
export type RoundEnd =
  | {
      readonly type: 'done' | 'busy'
      /** Whether S3 has answered. `false` when no file waited, or when another process sent all files. */
      readonly hasAnswered: boolean
    }
  | Failed

interface Failed {
  readonly type: 'failed'
  readonly verdict: Verdict
  /** Full path of the dump file that was being sent. */
  readonly file?: string
}

/** An event of an upload round, with text for the operator. `failing`: a file cannot be read now, and is tried again. */
export type RoundNews =
  | { readonly type: 'sent'; readonly line: string }
  | { readonly type: 'lost'; readonly message: string }
  /** Not all of the directory was read. Told by each round, and several times, as long as that is so. */
  | { readonly type: 'incomplete'; readonly directory: string; readonly message: string }
  | {
      readonly type: Done | 'failing'
      readonly directory: string
      /** Full path of the dump file, the key in {@link RoundOrder.done}. */
      readonly file: string
      readonly message: string
    }

/** Longest wait for another process that uploads from the same directory, ms. After it, the directory counts as busy. */
const TURN_MS = 300
/** Age above which dumps count for `maxBytes` while another process uploads, ms. That one will soon upload younger dumps. */
const LONG_WAIT_MS = 600_000

/** State that the functions of an upload round share. */
interface Round extends RoundOrder {
  readonly store: () => Store
  readonly tell: (news: RoundNews) => void
  readonly early: AbortSignal
  hasAnswered: boolean
}

/**
 * Uploads all dump files that wait in the directories, one after the other. Never rejects.
 *
 * The directories are the queue: the next round, of this process or of a later one, finds the files that were not sent.
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
        // Read the list of sent files again after the wait: another process may have sent some of them.
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

/** Runs `work` with a directory held open. Skips a directory that is missing or unreadable, which the monitor itself reports. */
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

/**
 * Runs `work` as the only process that uploads from the directory (its turn). If the process dies, the kernel ends its turn.
 *
 * @returns `'busy'` if another process still had the turn after {@link TURN_MS}; `work` did not run then.
 */
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

/**
 * Sends all waiting files of a directory. A rejected file does not stop the others. @returns Why no file can be sent now;
 * `undefined` if nothing prevents it.
 */
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

/** Lists a directory's files that wait for upload. @param more - Also lists files that are not sent for these reasons. */
async function listUnsent(
  place: Place,
  { host, done, own, tell }: Pick<Round, 'host' | 'done' | 'own' | 'tell'>,
  { names }: Pick<SentList, 'names'>,
  more: readonly Done[] = [],
): Promise<Waiting[]> {
  const isDone = (artefact: string): boolean => {
    const why = done.get(join(place.directory, artefact))
    return names.has(artefact) || (why !== undefined && !more.includes(why))
  }
  // A directory that cannot be read has nothing to send; the monitor itself reports it.
  return listWaiting(place, host, own, isDone, (why) => {
    const { directory } = place
    const message = `uploads and maxBytes may miss dumps of other processes in ${directory}: ${why}`
    tell({ type: 'incomplete', directory, message })
  }).catch(() => [])
}

function sentOf({ place }: Place, settings: UploadSettings): SentList {
  return new SentList(place, destinationOf(settings))
}

/** Name of the abstract Unix socket by which processes take turns in a directory: the same for every path to the directory. */
function turnName(place: string): string | undefined {
  if (process.platform !== 'linux') return undefined
  const { dev, ino } = statSync(place)
  return `cpu-memory-monitor/${process.geteuid?.()}/s3/${dev}:${ino}`
}

async function sendOne({ name }: Waiting, place: Place, round: Round, sent: SentList): Promise<void> {
  const { settings, host, tell } = round
  const opened = openWaiting(place.place, name.artefact)
  // The file was deleted in the meantime.
  if (!opened) return
  const file = join(place.directory, name.artefact)
  const finish = (type: Done | 'failing', message: string): void => {
    if (type !== 'failing') round.done.set(file, type)
    tell({ type, directory: place.directory, file, message })
  }
  try {
    if (opened.whyAnother !== undefined)
      return finish(
        'another',
        `${file} is not sent: ${opened.whyAnother}, so another file has taken its place`,
      )
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
        `${join(place.directory, SENT_FILE)} cannot be written (${why}): until it can, another process may ` +
          'upload the same files again',
      )
  } finally {
    opened.close()
  }
}

/**
 * Whether the dump file may be deleted once it is sent. A dump at V8's heap limit must stay until the next process that starts
 * with this directory has read and reported it.
 */
function isReported(name: ParsedName, { sidecar }: OpenWaiting): boolean {
  return name.rule !== 'heap-limit' || sidecar.reported !== undefined
}

/** Deletes dumps at V8's heap limit that are now reported and were sent earlier. */
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

/** Why one dump file was not sent: it cannot be read or redacted, or S3 rejects it. */
interface Problem {
  readonly message: string
  /** Whether the next attempt may succeed, as after a file system error. `false` if S3 rejects the file or it is damaged. */
  readonly passes: boolean
}

/** Uploads a dump file and its sidecar. @returns A problem of this file, if any. @throws An error that affects all files. */
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
    // Upload the sidecar last: it shows that the dump file in the bucket is complete.
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

/** Passes the chunks of a file on. Reports read errors, which the upload does not distinguish from errors of the connection. */
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
    // The sidecar was written by another version of this library.
    return ''
  }
}

/**
 * Deletes the oldest unsent dump files while those that count exceed `maxBytes` together. Files that S3 rejects always count.
 * Other files count if their dump started before `beforeMs`. Processes need not take turns here: two of them choose the same
 * files, and the second one finds nothing to delete.
 *
 * @param beforeMs - Wall clock, ms since the epoch. `Infinity`: all files count; 0: only those that S3 rejects.
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
        message: `${join(place.directory, name.artefact)} was deleted unsent: unsent files exceed maxBytes (${formatSize(settings.maxBytes)})`,
      })
  }
}

function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined
}
