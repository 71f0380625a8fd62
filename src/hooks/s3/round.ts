import { lstatSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { messageOf, parseJson } from '../../base/globals'
import { formatSize } from '../../base/size'
import { holdDirectory } from '../../files/directory'
import type { ArtefactExtension } from '../../files/names'
import type { Sidecar } from '../../files/sidecar'
import { cpuSentence, memorySentence } from '../../makeup/sentence'
import { withoutUrlContents } from '../../redact/urls'
import { takeTurn } from '../../system/turn'
import { keysOf, metadataOf } from './key'
import type { UploadSettings } from './options'
import { chunksOf, gzipped, redactedChunksOf, STEP_BYTES, STEP_BYTES_ON_MAIN } from './packed'
import { SENT_FILE, SentList } from './sent'
import { openStore, type Peers, type Store } from './store'
import { judge, type Verdict } from './verdict'
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
  /** Full paths of artefacts that are not to be sent, whatever the directory lists. Grows with the round. */
  readonly done: Set<string>
}

/** How a round ended. `busy`: another process sends what lies in a directory. */
export type RoundEnd =
  { readonly type: 'done' | 'busy' } | { readonly type: 'failed'; readonly verdict: Verdict }

/**
 * What the operator should read. `unlisted`: the artefact was sent, and cannot be noted in the directory. `refused`: it is another
 * file than the monitor wrote.
 */
export type RoundNews =
  | { readonly type: 'sent'; readonly line: string }
  | { readonly type: 'lost'; readonly message: string }
  | {
      readonly type: 'unlisted' | 'refused'
      readonly directory: string
      /** Full path of the artefact, for {@link RoundOrder.done}. */
      readonly file: string
      readonly message: string
    }

/** A neighbour that has its turn longer than this has more to send, ms. */
const TURN_MS = 300

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
  const open = (): Store => (store ??= openStore(order.settings, order.peers, order.isOnThread))
  const closeEarly = (): void => store?.close()
  early.addEventListener('abort', closeEarly)
  try {
    for (const directory of order.directories) {
      const end = await within(directory, (place) => sendAll({ directory, place }, order, open, tell, early))
      isBusy ||= end === 'busy'
    }
    return { type: isBusy ? 'busy' : 'done' }
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

async function sendAll(
  place: Place,
  order: RoundOrder,
  open: () => Store,
  tell: (news: RoundNews) => void,
  early: AbortSignal,
): Promise<'busy' | undefined> {
  // What cannot be read cannot be sent; the monitor reports it.
  const list = (): Promise<Waiting[]> => {
    const { names } = sentOf(place, order)
    const isDone = (artefact: string): boolean =>
      names.has(artefact) || order.done.has(join(place.directory, artefact))
    return listWaiting(place, order.host, isDone).catch(() => [])
  }
  if ((await list()).length === 0) return undefined
  // One process at a time sends from a directory: the kernel takes the turn back from one that dies.
  const endTurn = await takeTurn({ longestMs: TURN_MS, early, name: turnName(place.place) })
  if (!endTurn) return 'busy'
  try {
    // Read anew: a neighbour may have sent some of it.
    for (const waiting of await list()) {
      if (early.aborted) break
      await sendOne(waiting, place, order, open(), tell)
    }
    return undefined
  } catch (error) {
    makeRoom(await list(), place, order, tell)
    throw error
  } finally {
    endTurn()
  }
}

function sentOf({ place }: Place, { settings }: RoundOrder): SentList {
  const { endpoint = '', bucket, prefix } = settings
  return new SentList(place, `${endpoint}/${bucket}/${prefix}`)
}

/** A name for the directory itself, whichever path leads to it. */
function turnName(place: string): string | undefined {
  if (process.platform !== 'linux') return undefined
  const { dev, ino } = statSync(place)
  return `\0cpu-memory-monitor/${process.geteuid?.()}/s3/${dev}:${ino}`
}

async function sendOne(
  { name }: Waiting,
  place: Place,
  order: RoundOrder,
  store: Store,
  tell: (news: RoundNews) => void,
): Promise<void> {
  const { settings, host } = order
  const opened = openWaiting(place.place, name.artefact)
  // Deleted in the meantime.
  if (!opened) return
  const file = join(place.directory, name.artefact)
  const finish = (type: 'unlisted' | 'refused', message: string): void => {
    order.done.add(file)
    tell({ type, directory: place.directory, file, message })
  }
  try {
    if (opened.whyAnother !== undefined)
      return finish('refused', `${file} is not sent: ${opened.whyAnother}, so it is another file`)
    const keys = keysOf({ ...settings, host }, name)
    if (!(await store.has(keys.sidecar))) {
      const failure = await put(opened, name.extension, keys, order, store)
      if (failure !== undefined) return tell({ type: 'lost', message: `${file}: ${messageOf(failure)}` })
      const size = formatSize(opened.stats.size)
      tell({
        type: 'sent',
        line: `sent ${name.artefact} (${size}) to s3://${settings.bucket}/${keys.artefact}`,
      })
    }
    const isReported = name.rule !== 'heap-limit' || opened.sidecar.reported !== undefined
    if (settings.deleteAfterUpload && isReported) deleteArtefact(place.place, name, opened.stats)
    const why = sentOf(place, order).add(name.artefact, (artefact) => isThere(join(place.place, artefact)))
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

/** @returns What is wrong with the file; what is wrong with S3 is thrown. */
async function put(
  { fd, sidecarText }: OpenWaiting,
  extension: ArtefactExtension,
  keys: { readonly artefact: string; readonly sidecar: string },
  { settings, isOnThread }: RoundOrder,
  store: Store,
): Promise<unknown> {
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
  let failure: unknown
  const body = Readable.from(gzipped(noting(content, (error) => (failure = error)))).on(
    'error',
    () => undefined,
  )
  try {
    await store.put({ key: keys.artefact, body, contentType: 'application/gzip', metadata })
  } catch (error) {
    if (failure !== undefined) return failure
    throw error
  }
  // Last: the sign that the artefact is whole.
  await store.put({ key: keys.sidecar, body: description, contentType: 'application/json', metadata })
  return undefined
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

/** While S3 takes nothing, no more than so much may wait. */
function makeRoom(
  waiting: readonly Waiting[],
  { directory, place }: Place,
  { settings }: RoundOrder,
  tell: (news: RoundNews) => void,
): void {
  for (const { name } of chooseOverflow(waiting, settings.maxBytes)) {
    const stats = lstatSync(join(place, name.artefact), { throwIfNoEntry: false })
    if (stats && deleteArtefact(place, name, stats))
      tell({
        type: 'lost',
        message: `${join(directory, name.artefact)} was deleted unsent: more than ${formatSize(settings.maxBytes)} wait`,
      })
  }
}

function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined
}
