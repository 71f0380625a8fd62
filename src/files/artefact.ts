import { closeSync, fstatSync, ftruncateSync } from 'node:fs'
import { join } from 'node:path'
import { tenths } from '../base/time'
import {
  fsync,
  fsyncNow,
  ignoringErrors,
  type MarkedFile,
  openDirectory,
  openMarked,
  read,
  write,
} from './disk'
import { giveFinalName } from './final-name'
import { partialName } from './names'
import {
  createPartial,
  type Descriptors,
  expectUnchanged,
  type PartialArtefact,
  pathThrough,
  removePartial,
  reopenPartial,
  writeSidecar,
} from './partial'
import type { Artefact, How, KnownBefore, Sidecar } from './sidecar'

/** A profile or heap snapshot that is being written as `<name>.partial`. `publish`, `publishNow` or `abandon` must end it. */
export interface OpenArtefact {
  /** The unfinished dump file as plain data. A forked child passes the data to {@link reopenArtefact} to write the file. */
  readonly partial: PartialArtefact
  /** Path and inode of the `.partial` file. A writer on another thread must open it with `openMarked`, which checks the inode. */
  readonly target: MarkedFile
  /** Path of the `.partial` for code that accepts no file descriptor. With /proc it leads to the file even after a rename. */
  readonly writePath: string

  /**
   * Appends all bytes of a chunk to the file.
   *
   * @throws The file system's error. A later `publish` throws the same error.
   */
  write(chunk: string | Uint8Array): void

  /**
   * Checks that the file is complete, fills in its sidecar (`<name>.json`), syncs both to disk and renames the file to its
   * final name, or to a numbered name when the final one is taken.
   *
   * @param sizeBytes - Expected size when other code than {@link write} wrote the file. Not used for heap snapshots, which
   * are checked by their first and last bytes.
   * @throws When the file is incomplete, was replaced or had its mode changed, or the file system fails. Both files are
   * then removed. A complete file that gets no final name is kept as a `.partial`, which the error names.
   */
  publish(how: How, sizeBytes?: number): Promise<Artefact>

  /**
   * Checks, completes, syncs and renames the files as {@link publish} does, but synchronously. For a forked child, and for an
   * exiting process, in which `publish` may be half done. The file descriptors stay open until the process ends: an fsync that
   * `publish` started may still wait in libuv's thread pool. After a close, that fsync would act on the next file with the same
   * descriptor number, such as one that an 'exit' handler opens.
   */
  publishNow(how: How, sizeBytes?: number): Artefact

  /** Closes and removes the `.partial` and its sidecar. Published files stay. Idempotent, never throws. */
  abandon(): void
}

/**
 * Creates the two files of a new artefact: `<name>.partial` (opened with O_EXCL, mode 0600 whatever the umask) and its
 * sidecar `<name>.json`.
 *
 * All file system calls except fsync are synchronous: each takes microseconds, and the caller usually runs on a thread of
 * this library. With `watchdog: false` it runs on the main thread: a hanging network file system then blocks the event loop.
 *
 * @param directory - An absolute path.
 * @param fileName - A name built by `files/names`, with its extension. If it is taken, a number is added.
 * @param about - The part of the sidecar that is known before the capture: why and where the dump is made.
 * @throws RangeError when `fileName` is no artefact name; otherwise the file system's error. No file is left behind.
 */
export function openArtefact(directory: string, fileName: string, about: KnownBefore): OpenArtefact {
  const { partialFd, sidecarFd, ...partial } = createPartial(directory, fileName, about)
  return new HeldArtefact(partial, { partialFd, sidecarFd })
}

/**
 * Opens the two files of an artefact again in a forked child, which has none of its parent's file descriptors.
 *
 * @throws When a path no longer leads to the file that {@link openArtefact} created.
 */
export function reopenArtefact(partial: PartialArtefact): OpenArtefact {
  return new HeldArtefact(partial, reopenPartial(partial))
}

class HeldArtefact implements OpenArtefact {
  readonly target: MarkedFile
  #writtenBytes = 0
  #failure: { readonly error: unknown } | undefined
  #published: Artefact | undefined
  #isClosed = false

  constructor(
    readonly partial: PartialArtefact,
    private readonly descriptors: Descriptors,
  ) {
    const file = join(partial.directory, partialName(partial.fileName))
    this.target = { file, mark: partial.partialMark }
  }

  get writePath(): string {
    return pathThrough(this.descriptors.partialFd, this.target.file)
  }

  write(chunk: string | Uint8Array): void {
    this.#expectUsable()
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk
    try {
      write(this.descriptors.partialFd, bytes, this.#writtenBytes)
    } catch (error) {
      this.#failure = { error }
      throw error
    }
    this.#writtenBytes += bytes.length
  }

  async publish(how: How, sizeBytes?: number): Promise<Artefact> {
    try {
      const sidecar = this.#complete(how, sizeBytes)
      await fsync(this.descriptors.partialFd)
      await fsync(this.descriptors.sidecarFd)
      const artefact = this.#name(sidecar)
      await syncDirectory(this.partial.directory)
      return artefact
    } finally {
      this.abandon()
    }
  }

  publishNow(how: How, sizeBytes?: number): Artefact {
    if (this.#published) return this.#published
    try {
      const sidecar = this.#complete(how, sizeBytes)
      fsyncNow(this.descriptors.partialFd)
      fsyncNow(this.descriptors.sidecarFd)
      const artefact = this.#name(sidecar)
      ignoringErrors(() => fsyncNow(openDirectory(this.partial.directory)))
      return artefact
    } catch (error) {
      removePartial(this.partial)
      throw error
    }
  }

  abandon(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    const { partialFd, sidecarFd } = this.descriptors
    for (const fd of [partialFd, sidecarFd]) ignoringErrors(() => closeSync(fd))
    removePartial(this.partial)
  }

  /** Checks that the artefact is complete, then writes and returns its complete sidecar. */
  #complete(how: How, expectedBytes = this.#writtenBytes): Sidecar {
    this.#expectUsable()
    const { fileName, draft } = this.partial
    const sizeBytes = fstatSync(this.descriptors.partialFd).size
    const why = fileName.endsWith('.heapsnapshot')
      ? whyNotWhole(this.descriptors.partialFd, sizeBytes)
      : whyNotWritten(sizeBytes, expectedBytes)
    if (why !== undefined) throw new Error(`${partialName(fileName)} is incomplete and is deleted: ${why}`)
    expectUnchanged(this.partial, this.descriptors)
    const [pauseMs, durationMs] = [tenths(how.pauseMs), tenths(how.durationMs)]
    const sidecar = { ...draft, how: { ...how, pauseMs, durationMs, sizeBytes } }
    writeSidecar(this.descriptors.sidecarFd, sidecar)
    return sidecar
  }

  /** Renames the artefact to its final name. This is the last step: a file under a final name is complete and synced. */
  #name(sidecar: Sidecar): Artefact {
    expectUnchanged(this.partial, this.descriptors)
    const { directory } = this.partial
    const name = giveFinalName(this.partial, this.descriptors, sidecar)
    this.#published = { file: join(directory, name), sizeBytes: sidecar.how.sizeBytes }
    return this.#published
  }

  #expectUsable(): void {
    if (this.#failure !== undefined) throw this.#failure.error
    if (this.#isClosed || this.#published) throw new Error(`${this.partial.fileName} is closed already`)
  }
}

/**
 * Replaces the content of a file with a text. First checks by the inode that the path still leads to this file.
 *
 * @returns Size of the text, bytes.
 * @throws When the file is gone or another file has its path.
 */
export function overwrite(target: MarkedFile, text: string): number {
  return withMarked(target, (fd) => {
    const bytes = Buffer.from(text)
    ftruncateSync(fd)
    write(fd, bytes, 0)
    return bytes.length
  })
}

/**
 * Checks the inode of a file, then lets code that accepts only a path write into it.
 *
 * @throws When the file is gone or another file has its path.
 */
export function writeByPath(target: MarkedFile, writeTo: (path: string) => void): void {
  withMarked(target, (fd) => writeTo(pathThrough(fd, target.file)))
}

function withMarked<T>(target: MarkedFile, use: (fd: number) => T): T {
  const fd = openMarked(target)
  try {
    return use(fd)
  } finally {
    closeSync(fd)
  }
}

function whyNotWritten(sizeBytes: number, expectedBytes: number): string | undefined {
  if (sizeBytes === 0) return 'it is empty'
  return sizeBytes === expectedBytes ? undefined : `it has ${sizeBytes} of ${expectedBytes} bytes`
}

/** Syncs a directory, so that a new file name in it survives a crash. Ignores errors: Windows and some file systems refuse. */
async function syncDirectory(path: string): Promise<void> {
  try {
    const fd = openDirectory(path)
    await fsync(fd).finally(() => closeSync(fd))
  } catch {
    return
  }
}

/** First bytes of every heap snapshot that V8 writes: the beginning of its header. */
const HEAD = '{"snapshot":{"meta":{'
/** Last bytes of a complete heap snapshot: the end of its table of strings, which V8 writes last. */
const TAIL = '"]}'

/**
 * Checks a heap snapshot by its first and last bytes. V8 writes the file, so its expected size is unknown; and the package
 * heapdump reports no error on a full disk.
 *
 * @returns Why the snapshot is incomplete, or `undefined` if it is complete.
 */
export function whyNotWhole(fd: number, sizeBytes: number): string | undefined {
  if (sizeBytes === 0) return 'it is empty'
  if (text(fd, 0, HEAD.length) !== HEAD) return 'it does not begin like a heap snapshot'
  const tailAt = Math.max(0, sizeBytes - TAIL.length)
  return text(fd, tailAt, TAIL.length) === TAIL
    ? undefined
    : 'it does not end with the table of strings of a heap snapshot'
}

function text(fd: number, position: number, lengthBytes: number): string {
  return read(fd, position, lengthBytes).toString('latin1')
}
