import {
  closeSync,
  constants,
  createReadStream,
  fstatSync,
  lstatSync,
  openSync,
  readSync,
  type Stats,
  statSync,
} from 'node:fs'
import { Readable } from 'node:stream'
import { createGunzip, gunzipSync } from 'node:zlib'
import { parseJson, UnreadableError } from './json'
import { formatBytes } from './units'

/** A larger CPU or heap profile is refused: it would not fit into a JavaScript string together with its objects. */
export const MAX_PROFILE_BYTES = 256 * 1024 * 1024

/** Levels of objects and lists. A heap profile has two for each frame of a stack, and V8 records at most a few thousand frames. */
const DEEPEST = 100_000
const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_LIST = 0x5b
const CLOSE_LIST = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

/** Bytes for each object or list, of the largest file that is read: an empty list has two, and takes 50 when it is parsed. */
const BYTES_PER_OBJECT = 40

/** Bytes of a file that are read to recognise its kind. */
const HEAD_BYTES = 64 * 1024
/** The length of the content modulo 2^32 is at the end of a gzip file. */
const GZIP_LENGTH_BYTES = 4

const CHUNKS = { highWaterMark: 1024 * 1024 }

/** A file to report on. */
export interface Input {
  readonly path: string
  readonly isCompressed: boolean
  /** Size of the content, bytes; of a compressed file the size that it states. */
  readonly sizeBytes: number
  readonly kind: 'profile' | 'snapshot'
}

/**
 * Looks at a file's content; its name does not matter.
 *
 * @throws UnreadableError if it is no regular file, or neither JSON nor gzip.
 */
export function openInput(path: string): Input {
  const file = openRegular(path)
  try {
    return inspect(path, file)
  } finally {
    closeSync(file.fd)
  }
}

/** Like {@link openInput}, of a file that is open already. */
export function inspect(path: string, { fd, sizeBytes: fileBytes }: RegularFile): Input {
  const head = readAt(fd, 0, HEAD_BYTES)
  const isCompressed = head[0] === 0x1f && head[1] === 0x8b
  const start = (isCompressed ? headOf(head) : head).toString('latin1').trimStart()
  if (!start.startsWith('{'))
    throw new UnreadableError('is neither a profile nor a snapshot: it is not a JSON object')
  const sizeBytes = isCompressed
    ? readAt(fd, Math.max(0, fileBytes - GZIP_LENGTH_BYTES), GZIP_LENGTH_BYTES).readUInt32LE(0)
    : fileBytes
  return {
    path,
    isCompressed,
    sizeBytes,
    kind: /^\{\s*"snapshot"\s*:/.test(start) ? 'snapshot' : 'profile',
  }
}

/**
 * The parsed content of a profile.
 *
 * @param maxBytes - A larger one is refused. A gzip file may hold more than it states.
 */
export function readProfile({ path, isCompressed, sizeBytes }: Input, maxBytes = MAX_PROFILE_BYTES): unknown {
  if (sizeBytes > maxBytes) throw new UnreadableError(tooLarge(maxBytes, sizeBytes))
  const content = readRegular(path, maxBytes)
  const json = isCompressed ? gunzip(content, maxBytes) : content
  return parseWithin(json, maxBytes)
}

/** The bytes of a snapshot, decompressed. */
export function streamOf({ path, isCompressed }: Pick<Input, 'path' | 'isCompressed'>): Readable {
  return contentOf(createReadStream(path, { fd: openRegular(path).fd, ...CHUNKS }), isCompressed)
}

/** Like {@link streamOf}, of a file that is open already and stays open. */
export function streamFrom(fd: number, isCompressed: boolean): Readable {
  return contentOf(Readable.from(chunksFrom(fd), { objectMode: false }), isCompressed)
}

/** Not by a stream of the file system: that closes the descriptor when its reader stops. */
function* chunksFrom(fd: number): Generator<Buffer> {
  for (let position = 0; ;) {
    const chunk = readAt(fd, position, CHUNKS.highWaterMark)
    if (chunk.length === 0) return
    yield chunk
    position += chunk.length
  }
}

function contentOf(raw: Readable, isCompressed: boolean): Readable {
  if (!isCompressed) return raw
  const content = createGunzip({ chunkSize: 1024 * 1024 })
  raw.on('error', (error) => content.destroy(error))
  return raw.pipe(content)
}

/**
 * Parses JSON that takes no more memory than its size lets expect. Each level and each list is an object of its own: nested deep, a few
 * MB take minutes and all memory.
 *
 * @param maxBytes - Size of the largest file that is read.
 */
export function parseWithin(json: Buffer, maxBytes: number): unknown {
  const mostObjects = Math.floor(maxBytes / BYTES_PER_OBJECT)
  let [depth, objects] = [0, 0]
  for (let at = 0; at < json.length; at += 1) {
    const byte = json[at]
    if (byte === QUOTE) at = endOfString(json, at)
    else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
      depth += 1
      objects += 1
    } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) depth -= 1
    if (depth > DEEPEST) throw new UnreadableError('is damaged: it is nested deeper than any stack of calls')
    if (objects > mostObjects)
      throw new UnreadableError(`is too large: it has more than ${mostObjects} objects and lists`)
  }
  return parseJson(json.toString('utf8'))
}

/** Where the string ends that begins there; behind all of it when it does not end. */
function endOfString(json: Buffer, from: number): number {
  let at = from + 1
  while (at < json.length && json[at] !== QUOTE) at += json[at] === BACKSLASH ? 2 : 1
  return at
}

function gunzip(content: Buffer, maxBytes: number): Buffer {
  try {
    return gunzipSync(content, { maxOutputLength: maxBytes })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE')
      throw new UnreadableError(tooLarge(maxBytes))
    throw new UnreadableError('is damaged: its gzip data is cut or wrong')
  }
}

function tooLarge(maxBytes: number, sizeBytes?: number): string {
  const size = sizeBytes === undefined ? 'unpacked' : `with ${formatBytes(sizeBytes)}`
  return `is too large for a profile ${size}: the limit is ${formatBytes(maxBytes)}`
}

/** The beginning of what a gzip file holds, from the beginning of the file. */
function headOf(head: Buffer): Buffer {
  try {
    return gunzipSync(head, {
      finishFlush: 2 /* Z_SYNC_FLUSH: the data ends early */,
      maxOutputLength: 64 * 1024 * 1024,
    })
  } catch {
    throw new UnreadableError('is damaged: its gzip data is cut or wrong')
  }
}

function readAt(fd: number, position: number, length: number): Buffer {
  const buffer = Buffer.alloc(length)
  return buffer.subarray(0, readSync(fd, buffer, 0, length, position))
}

/** An open file, and its size at that moment. */
export interface RegularFile {
  readonly fd: number
  readonly sizeBytes: number
}

/**
 * Opens a regular file that has content. What a dump names, and what lies in a directory of other users, may be anything: a FIFO and
 * some files of /proc wait for ever, a device may act when it is opened.
 *
 * @param owner - A symbolic link, and a file of another user than this one, are refused.
 * @throws UnreadableError for anything else, files of /proc included, whose size is 0; else the file system's error.
 */
export function openRegular(path: string, owner?: number): RegularFile {
  sizeOf(owner === undefined ? statSync(path) : lstatSync(path))
  // Looked at again: another user may have exchanged it.
  const follow = owner === undefined ? 0 : (constants.O_NOFOLLOW ?? 0)
  const fd = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | follow)
  try {
    const stats = fstatSync(fd)
    if (owner !== undefined && stats.uid !== owner) throw new UnreadableError('belongs to another user')
    return { fd, sizeBytes: sizeOf(stats) }
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

/**
 * Reads a whole regular file, no more than it had when it was opened.
 *
 * @throws Like {@link openRegular}, and UnreadableError for one of more than `maxBytes`.
 */
export function readRegular(path: string, maxBytes: number, owner?: number): Buffer {
  const { fd, sizeBytes } = openRegular(path, owner)
  try {
    if (sizeBytes > maxBytes) throw new UnreadableError(`is too large: ${formatBytes(sizeBytes)}`)
    const content = Buffer.allocUnsafe(sizeBytes)
    let at = 0
    for (let count = -1; count !== 0 && at < sizeBytes; at += count)
      count = readSync(fd, content, at, sizeBytes - at, at)
    return content.subarray(0, at)
  } finally {
    closeSync(fd)
  }
}

/** Whether two paths lead to one file. */
export function isSameFile(one: string, other: string): boolean {
  try {
    const [first, second] = [statSync(one, { bigint: true }), statSync(other, { bigint: true })]
    return first.dev === second.dev && first.ino === second.ino
  } catch {
    return false
  }
}

function sizeOf(stats: Pick<Stats, 'isFile' | 'size'>): number {
  if (!stats.isFile()) throw new UnreadableError('is not a regular file')
  if (stats.size === 0) throw new UnreadableError('is empty')
  return stats.size
}
