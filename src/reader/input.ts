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
import { isOwn, standsForOne } from '../base/own-user'
import { canReachDescriptors, O_PATH } from '../files/directory'
import { isLinkedByOthers } from '../files/owners'
import { parseJson, UnreadableError } from './json'
import { formatBytes } from './units'

/** Maximum size of a CPU or heap profile, bytes. A larger one is refused, because its text and objects take too much memory. */
export const MAX_PROFILE_BYTES = 256 * 1024 * 1024

/**
 * Maximum depth of nested objects and lists in a JSON file. A heap profile has two levels per stack frame, and a stack has some
 * thousand frames at most.
 */
const DEEPEST = 100_000
const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_LIST = 0x5b
const CLOSE_LIST = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
const COMMA = 0x2c

/**
 * The maximum size of a file in bytes, divided by this, is the maximum number of objects and lists in it. The limit is needed
 * because an empty list has 2 bytes in a file, but takes 50 bytes of memory when it is parsed.
 */
const BYTES_PER_OBJECT = 40
/**
 * The maximum size of a file in bytes, divided by this, is the maximum number of items in all its lists together. A sample of a
 * profile is two items, which have 4 bytes in the file, but takes 200 bytes of memory when it is read.
 */
const BYTES_PER_ITEM = 40
/**
 * The maximum size of a file in bytes, divided by this, is the maximum number of properties in all its objects together. A
 * profile of V8 has one property per 20 bytes. A property whose name occurs only once takes 80 bytes of memory when it is
 * parsed.
 */
const BYTES_PER_PROPERTY = 16

/** Size of the beginning of a file that is read to recognise its kind, bytes. */
const HEAD_BYTES = 64 * 1024
/** Size of the last field of a gzip file, bytes. The field holds the length of the decompressed content modulo 2^32. */
const GZIP_LENGTH_BYTES = 4

/** Windows does not have this flag. */
const NO_FOLLOW = constants.O_NOFOLLOW ?? 0

const CHUNKS = { highWaterMark: 1024 * 1024 }

/** A profile or heap snapshot to read, as its file was when it was first opened. */
export interface Input {
  readonly path: string
  readonly isCompressed: boolean
  /** Size of the content, bytes; for a gzip file, the size that its last bytes state. */
  readonly sizeBytes: number
  readonly kind: 'profile' | 'snapshot'
  readonly id: FileId
}

/** Device, inode number and owner of a file. They are compared to detect that another file has taken its path. */
export interface FileId {
  readonly dev: number
  readonly ino: number
  readonly uid: number
  /** Whether somebody other than its owner can have written the content of the file ({@link isLinkedByOthers}). */
  readonly isLinkedByOthers: boolean
}

/**
 * Opens a file, recognises by its content whether it is a profile or a snapshot, and closes it. The file's name does not matter.
 *
 * @param owner - Id of the user that must own the file; symbolic links are then refused too. Without it, both are accepted: files
 *   of any user, and links.
 * @throws UnreadableError if the file is empty, not a regular file, owned by another user, or no JSON object (possibly gzipped);
 *   else the file system's error.
 */
export function openInput(path: string, owner?: number): Input {
  const file = openRegular(path, owner)
  try {
    return inspect(path, file)
  } finally {
    closeSync(file.fd)
  }
}

/** Recognises by its content whether an open file is a profile or a snapshot. Leaves the file open. */
export function inspect(path: string, { fd, sizeBytes: fileBytes, id }: RegularFile): Input {
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
    id,
  }
}

/**
 * Reads and parses a profile.
 *
 * @param maxBytes - Maximum size of the content, checked again after decompression: a gzip file may hold more than it states.
 */
export function readProfile(input: Input, maxBytes = MAX_PROFILE_BYTES): unknown {
  const { isCompressed, sizeBytes } = input
  if (sizeBytes > maxBytes) throw new UnreadableError(tooLarge(maxBytes, sizeBytes))
  const content = readAndClose(openAgain(input), maxBytes)
  const json = isCompressed ? gunzip(content, maxBytes) : content
  return parseWithin(json, maxBytes)
}

/** Opens a file again and streams its content, decompressed. Bytes that are appended after the opening are not read. */
export function streamOf(input: Pick<Input, 'path' | 'isCompressed' | 'id'>): Readable {
  const { fd, sizeBytes } = openAgain(input)
  return contentOf(createReadStream(input.path, { fd, end: sizeBytes - 1, ...CHUNKS }), input.isCompressed)
}

/**
 * Streams the content of an open file, decompressed. Reads no more bytes than it had when it was opened. Leaves the file open.
 */
export function streamFrom(file: Pick<RegularFile, 'fd' | 'sizeBytes'>, isCompressed: boolean): Readable {
  return contentOf(Readable.from(chunksFrom(file), { objectMode: false }), isCompressed)
}

/** Reads an open file in chunks. fs.createReadStream is not used, because it closes the descriptor when its consumer stops. */
function* chunksFrom({ fd, sizeBytes }: Pick<RegularFile, 'fd' | 'sizeBytes'>): Generator<Buffer> {
  for (let position = 0; position < sizeBytes;) {
    const chunk = readAt(fd, position, Math.min(CHUNKS.highWaterMark, sizeBytes - position))
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
 * Parses JSON. Refuses JSON that has too many objects, lists, items or properties, or that is nested too deeply, because parsing
 * a few MB of it can take minutes and all memory.
 *
 * @param maxBytes - Maximum size of a file of this kind, bytes. The limits on the numbers of objects, lists, items and properties are in
 *   proportion to it. The size of `json` itself is not checked.
 */
export function parseWithin(json: Buffer, maxBytes: number): unknown {
  const mostObjects = Math.floor(maxBytes / BYTES_PER_OBJECT)
  const mostItems = Math.floor(maxBytes / BYTES_PER_ITEM)
  const mostProperties = Math.floor(maxBytes / BYTES_PER_PROPERTY)
  /** For each level of nesting, the bracket that opened the object or list around the current byte. */
  const around = new Uint8Array(DEEPEST + 2)
  let [depth, objects, items, properties] = [0, 0, 0, 0]
  for (let at = 0; at < json.length; at += 1) {
    const byte = json[at]
    if (byte === QUOTE) at = endOfString(json, at)
    else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
      depth += 1
      objects += 1
      around[depth] = byte
    } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) depth -= 1
    else if (byte === COMMA) {
      if (around[depth] === OPEN_LIST) items += 1
      else properties += 1
    }
    if (depth > DEEPEST)
      throw new UnreadableError(`is damaged: it is nested more than ${DEEPEST} levels deep`)
    if (objects > mostObjects)
      throw new UnreadableError(`is too large: it has more than ${mostObjects} objects and lists`)
    if (items > mostItems)
      throw new UnreadableError(`is too large: its lists have more than ${mostItems} items`)
    if (properties > mostProperties)
      throw new UnreadableError(`is too large: its objects have more than ${mostProperties} properties`)
  }
  return parseJson(json.toString('utf8'))
}

/** Offset of the quote that ends the string that begins at `from`; past the end of the JSON if there is no such quote. */
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
  const size = sizeBytes === undefined ? 'when unpacked' : `(${formatBytes(sizeBytes)})`
  return `is too large for a profile ${size}: the limit is ${formatBytes(maxBytes)}`
}

/** Decompresses the beginning of a gzip file. */
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

/** An open regular file, with its size and identity when it was opened. */
export interface RegularFile {
  readonly fd: number
  readonly sizeBytes: number
  readonly id: FileId
}

/**
 * Opens a file, but only if it is a regular file and not empty. A path in a dump, or a file of another user, may lead to
 * anything: reading a FIFO or some files of /proc can block for ever, and opening a device may have an effect.
 *
 * @param owner - Id of the user that must own the file; symbolic links are then refused too. Without it, both are accepted: files
 *   of any user, and links.
 * @throws UnreadableError for any other file, such as those of /proc, whose size is 0, and for a file of another user than
 *   `owner`; else the file system's error.
 */
export function openRegular(path: string, owner?: number): RegularFile {
  const fd = openIfRegular(path, owner === undefined ? 0 : NO_FOLLOW)
  try {
    const stats = fstatSync(fd)
    const { dev, ino } = stats
    const uid = userOf(path, stats)
    if (owner !== undefined && uid !== owner) throw new UnreadableError('belongs to another user')
    return { fd, sizeBytes: sizeOf(stats), id: { dev, ino, uid, isLinkedByOthers: isLinkedByOthers(stats) } }
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

/**
 * Opens a file for reading, once it is known to be a regular file. Another user may exchange the file, or a link in its path,
 * between any two calls. So the first call opens it without effect (O_PATH), and the second opens the very file that was looked
 * at. Where /proc is missing, a file that took its place in between is opened, and refused by the caller.
 */
function openIfRegular(path: string, noFollow: number): number {
  const toRead = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0)
  if (process.platform !== 'linux' || !canReachDescriptors()) {
    sizeOf(noFollow === 0 ? statSync(path) : lstatSync(path))
    return openSync(path, toRead | noFollow)
  }
  const seen = openSync(path, O_PATH | noFollow)
  try {
    sizeOf(fstatSync(seen))
    return openSync(`/proc/self/fd/${seen}`, toRead)
  } catch (error) {
    // Show the user the path, not the one through /proc.
    if (error instanceof Error) error.message = error.message.replace(`/proc/self/fd/${seen}`, path)
    throw error
  } finally {
    closeSync(seen)
  }
}

/** Stands for the owner of a file who is not known: the user namespace shows many users by one id, and this is not its own. */
export const UNKNOWN_USER = -1

/** Returns the id of a file's owner, or {@link UNKNOWN_USER}. `stats` are those of the path. */
export function userOf(path: string, stats: Stats): number {
  return standsForOne(stats.uid) || isOwn(path, stats) ? stats.uid : UNKNOWN_USER
}

/** Names the owner of files in a sentence. */
export function userInWords(owner: number): string {
  return owner === UNKNOWN_USER ? 'an unknown user' : `user ${owner}`
}

/** Opens the file of an input again. Refuses another file at its path, which another user may have put there meanwhile. */
function openAgain({ path, id }: Pick<Input, 'path' | 'id'>): RegularFile {
  const file = openRegular(path)
  if (file.id.dev === id.dev && file.id.ino === id.ino && file.id.uid === id.uid) return file
  closeSync(file.fd)
  throw new UnreadableError('was replaced by another file while it was read')
}

/**
 * Reads a whole regular file. Bytes that are appended after it was opened are not read.
 *
 * @param owner - Id of the user that must own the file; symbolic links are then refused too. Without it, both are accepted: files
 *   of any user, and links.
 * @throws UnreadableError if the file is empty, not a regular file, larger than `maxBytes`, owned by another user, or, with
 *   `owner`, if another user can have written it ({@link isLinkedByOthers}); else the file system's error.
 */
export function readRegular(path: string, maxBytes: number, owner?: number): Buffer {
  const file = openRegular(path, owner)
  if (owner === undefined || !file.id.isLinkedByOthers) return readAndClose(file, maxBytes)
  closeSync(file.fd)
  throw new UnreadableError(
    'has several hard links and others may write to it, so its content may be of another user',
  )
}

function readAndClose({ fd, sizeBytes }: RegularFile, maxBytes: number): Buffer {
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

/** Whether two paths lead to the same file. `false` if the status of one of them cannot be read, such as of a missing file. */
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
