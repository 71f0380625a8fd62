import { createHash } from 'node:crypto'
import { lstatSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { messageOf, parseJson, toJson } from '../../base/globals'
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

/** Input of an upload round, which sends all dump files that wait in the dump directories. Plain data for the upload thread. */
export interface RoundOrder {
  readonly directories: readonly string[]
  readonly host: string
  readonly settings: UploadSettings
  readonly peers: Peers
  readonly isOnThread: boolean
  /** Full paths of dump files that must not be sent, each with the reason. The round adds entries; a thread has its own copy. */
  readonly done: Map<string, Done>
  /** Full paths of dump files at which earlier rounds failed. They are sent last, because one may have caused the failure. */
  readonly last: ReadonlySet<string>
  /** Full paths of dump files of this process. They are sent even if the directory cannot be read to its end. */
  readonly own: ReadonlySet<string>
}

/**
 * Why this process must not send a dump file. `unlisted`: it was sent, but the list of sent files cannot be written. `another`:
 * it is not the file that the monitor wrote. `unsendable`: S3 or a proxy rejects this file, or it is cut off or damaged.
 */
export type Done = 'unlisted' | 'another' | 'unsendable'

/**
 * How an upload round ended. `done`: it has gone through all directories. `busy`: the same, but from at least one directory
 * another process is uploading. `failed`: something prevents the upload of every file, such as an S3 that does not answer.
 */
export type RoundEnd =
  | {
      readonly type: 'done' | 'busy'
      /**
       * Whether S3 has taken or rejected a file in this round, or had it already. `false` if, for example, no file waited or
       * another process sent all files.
       */
      readonly hasAnswered: boolean
    }
  | Failed

interface Failed {
  readonly type: 'failed'
  readonly verdict: Verdict
  /** Full path of the dump file that was being sent; absent if the round failed otherwise. */
  readonly file?: string
}

/**
 * An event of an upload round, with a text for the operator. `sent`: a file was uploaded. `lost`: a file was deleted unsent,
 * because of `maxBytes`. `failing`: a file cannot be read now; the next round tries it again.
 */
export type RoundNews =
  | { readonly type: 'sent'; readonly line: string }
  | { readonly type: 'lost'; readonly message: string }
  /** The directory has too many files to be read to its end. Each round then emits this event, perhaps several times. */
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
/**
 * While another process uploads from a directory, only dumps older than this count for `maxBytes` there, ms: that process will
 * soon upload the younger ones.
 */
const LONG_WAIT_MS = 600_000

/** State that the functions of an upload round share. */
interface Round extends RoundOrder {
  readonly store: () => Store
  readonly tell: (news: RoundNews) => void
  readonly early: AbortSignal
  hasAnswered: boolean
}

/**
 * Uploads all dump files that wait in the directories, one after the other, and deletes files as `deleteAfterUpload` and
 * `maxBytes` demand. Never rejects. Aborting `early` stops the round.
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
 * Runs `work` if files wait in the directory, as the only process that uploads from it (its turn). Where processes cannot take
 * turns, as outside of Linux, `work` runs at once. If the process dies, the kernel ends its turn.
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
 * Sends all waiting files of a directory. A file that S3 rejects does not stop the others. @returns The failure that prevents the
 * upload of all files; `undefined` if none does.
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

/** Lists a directory's files that wait for upload, and those that must not be sent for one of the reasons `more`. */
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
    const message = `dumps of other processes in ${directory} may be missed, for the upload and for maxBytes: ${why}`
    tell({ type: 'incomplete', directory, message })
  }).catch(() => [])
}

function sentOf({ place }: Place, settings: UploadSettings): SentList {
  return new SentList(place, destinationOf(settings))
}

/**
 * Returns the name of the abstract Unix socket by which processes take turns in a directory. It contains device and inode, so it
 * is the same for every path to the directory. `undefined` outside of Linux, which alone has such sockets.
 */
function turnName(place: string): string | undefined {
  if (process.platform !== 'linux') return undefined
  const { dev, ino } = statSync(place)
  return `cpu-memory-monitor/${process.geteuid?.()}/s3/${dev}:${ino}`
}

async function sendOne({ name }: Waiting, place: Place, round: Round, sent: SentList): Promise<void> {
  const { settings, host, tell } = round
  const opened = openWaiting(place.place, name.artefact)
  // The file or its sidecar was deleted or replaced in the meantime.
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
    const digest = digestOf(opened, settings)
    const found = await round.store().find(keys.sidecar)
    if (found?.['digest'] !== digest) {
      const problem = await put(opened, name.extension, { ...keys, digest }, round)
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

/** Deletes dumps at V8's heap limit that were sent before they were reported, and have been reported since. */
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

/**
 * Returns the digest of a sidecar, for the metadata of the uploaded sidecar. An object in the bucket shows that a dump file was
 * sent only if it has this digest: an S3 that claims to have each key, or whoever else may write to the bucket, cannot know it
 * before the sidecar is sent, and the sidecar is sent last. The mark that a dump was reported is added later, so it is left out.
 * What `redact` removes is left out too: guesses of it could be tried against the digest.
 */
function digestOf({ sidecar }: OpenWaiting, { redact }: UploadSettings): string {
  const text = toJson({ ...sidecar, reported: undefined })
  return createHash('sha256')
    .update(redact ? withoutUrlContents(text) : text)
    .digest('hex')
}

/** Why one dump file was not sent: it cannot be read or redacted, or S3 rejects it. */
interface Problem {
  readonly message: string
  /** Whether the next attempt may succeed, as after a file system error. `false` if S3 rejects the file or it is damaged. */
  readonly passes: boolean
}

/** Uploads a dump file and its sidecar. @returns Why this file was not sent, if so. @throws An error that affects all files. */
async function put(
  opened: OpenWaiting,
  extension: ArtefactExtension,
  keys: { readonly artefact: string; readonly sidecar: string; readonly digest: string },
  round: Round,
): Promise<Problem | undefined> {
  const { fd, sidecarText } = opened
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
    // Upload the sidecar last: it shows that the dump file in the bucket is complete. Only it has the digest, see `digestOf`.
    const sidecarMetadata = { ...metadata, digest: keys.digest }
    await store().put({
      ...{ key: keys.sidecar, body: description },
      ...{ contentType: 'application/json', metadata: sidecarMetadata },
    })
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

/**
 * Yields the chunks of a file, redacted or not. Passes an error on the way (unreadable, damaged) to `onFailed` and throws it again,
 * because the error of the upload does not show its cause.
 */
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
    // Another version of this library wrote the sidecar, with other fields than this version expects.
    return ''
  }
}

/**
 * Deletes the oldest unsent dump files while the total size of the files that count exceeds `maxBytes`. Files that this process
 * found unsendable always count, other files if their dump started before `beforeMs`. Processes need not take turns here: two of
 * them choose the same files, and the second one finds nothing to delete.
 *
 * @param beforeMs - Wall clock, ms since the epoch. `Infinity`: all files count; 0: only the unsendable ones.
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
