import { closeSync, fstatSync, ftruncateSync } from 'node:fs'
import { join } from 'node:path'
import { tenths } from '../base/time'
import { fsync, fsyncNow, openDirectory, read, write } from './disk'
import { partialName } from './names'
import {
  createPartial,
  type Descriptors,
  expectUnchanged,
  giveFinalName,
  ignoringErrors,
  type MarkedFile,
  openMarked,
  type PartialArtefact,
  pathThrough,
  removePartial,
  reopenPartial,
  writeSidecar,
} from './partial'
import type { Artefact, How, KnownBefore, Sidecar } from './sidecar'

/** A file of evidence that is being written under `<name>.partial`. End it with `publish`, `publishNow` or `abandon`. */
export interface OpenArtefact {
  /** The artefact as plain data, for {@link reopenArtefact} in a forked child. */
  readonly partial: PartialArtefact
  /** The empty file of mode 0600, for a writer on another thread, which must open it with `openMarked`. */
  readonly target: MarkedFile
  /** A path for a writer that accepts no descriptor. It leads to this file whatever happens to its name, see `pathThrough`. */
  readonly writePath: string

  /**
   * Appends a whole chunk.
   *
   * @throws The file system's error. `publish` then throws it too.
   */
  write(chunk: string | Uint8Array): void

  /**
   * Checks that the file is whole, makes it durable, completes its sidecar and gives it its final name, or a numbered name
   * when another file has taken the final one.
   *
   * @param sizeBytes - Size that the file must have if another writer wrote it. Heap snapshots are checked by their ends.
   * @throws When the file is not whole, was replaced or had its mode changed, or the file system fails. Nothing is left then.
   */
  publish(how: How, sizeBytes?: number): Promise<Artefact>

  /**
   * {@link publish} within the call: for a forked child, and for an exiting process, which may be in the middle of
   * `publish`. It closes no descriptor: an fsync of `publish` may still wait in the thread pool, and would then reach the
   * file that an 'exit' handler of the application opens under the same number. The process ends soon.
   */
  publishNow(how: How, sizeBytes?: number): Artefact

  /** Closes and removes the `.partial` and its sidecar, but nothing that was published. Idempotent, never throws. */
  abandon(): void
}

/**
 * Creates the files of a new artefact: `<name>.partial`, opened exclusively, mode 0600 whatever the umask, and its sidecar.
 *
 * All calls but fsync are synchronous: they take microseconds, and the caller usually has its own thread. With
 * `watchdog: false` a network file system that hangs blocks the event loop here.
 *
 * @param directory - An absolute path.
 * @param fileName - A name from `files/names`, with its extension. If it is taken, the artefact gets a number.
 * @param about - The part of the sidecar that is known beforehand: why the dump is made, and where.
 * @throws RangeError when the name is not an artefact's; else the file system's error. Nothing is left then.
 */
export function openArtefact(directory: string, fileName: string, about: KnownBefore): OpenArtefact {
  const { partialFd, sidecarFd, ...partial } = createPartial(directory, fileName, about)
  return new HeldArtefact(partial, { partialFd, sidecarFd })
}

/**
 * Opens an artefact once more, in a forked child, which has none of its parent's descriptors.
 *
 * @throws When one of its files is no longer the one that {@link openArtefact} created.
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

  /** Checks the content, and writes the sidecar that describes it. */
  #complete(how: How, expectedBytes = this.#writtenBytes): Sidecar {
    this.#expectUsable()
    const { fileName, draft } = this.partial
    const sizeBytes = fstatSync(this.descriptors.partialFd).size
    const why = fileName.endsWith('.heapsnapshot')
      ? whyNotWhole(this.descriptors.partialFd, sizeBytes)
      : whyNotWritten(sizeBytes, expectedBytes)
    if (why !== undefined) throw new Error(`${partialName(fileName)} is not whole: ${why}`)
    expectUnchanged(this.partial, this.descriptors)
    const [pauseMs, durationMs] = [tenths(how.pauseMs), tenths(how.durationMs)]
    const sidecar = { ...draft, how: { ...how, pauseMs, durationMs, sizeBytes } }
    writeSidecar(this.descriptors.sidecarFd, sidecar)
    return sidecar
  }

  /** The name comes last: a file under its final name is whole and durable. */
  #name(sidecar: Sidecar): Artefact {
    expectUnchanged(this.partial, this.descriptors)
    const { directory } = this.partial
    const name = giveFinalName(this.partial, this.descriptors.sidecarFd, sidecar)
    this.#published = { file: join(directory, name), sizeBytes: sidecar.how.sizeBytes }
    return this.#published
  }

  #expectUsable(): void {
    if (this.#failure !== undefined) throw this.#failure.error
    if (this.#isClosed || this.#published) throw new Error(`${this.partial.fileName} is closed`)
  }
}

/**
 * Writes a text into the marked file, and into no other file that has taken its name.
 *
 * @returns Size of the text, bytes.
 * @throws When the file is gone or was replaced.
 */
export function overwrite(target: MarkedFile, text: string): number {
  return withMarked(target, (fd) => {
    const bytes = Buffer.from(text)
    ftruncateSync(fd)
    write(fd, bytes, 0)
    return bytes.length
  })
}

/** Lets code that accepts only a path write into the marked file. @throws Like {@link overwrite}. */
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

/** Makes the new name durable. Windows and some network file systems refuse to open or sync a directory. */
async function syncDirectory(path: string): Promise<void> {
  try {
    const fd = openDirectory(path)
    await fsync(fd).finally(() => closeSync(fd))
  } catch {
    return
  }
}

/** V8 writes a snapshot as a header, arrays of numbers and, last, an array of strings. */
const HEAD = '{"snapshot":{"meta":{'
const TAIL = '"]}'

/**
 * Checks a heap snapshot by its first and last bytes. V8 writes it, so its expected size is unknown, and heapdump
 * reports no error on a full disk.
 *
 * @returns Why the snapshot is not whole, or `undefined` if it is.
 */
export function whyNotWhole(fd: number, sizeBytes: number): string | undefined {
  if (sizeBytes === 0) return 'it is empty'
  if (text(fd, 0, HEAD.length) !== HEAD) return 'it does not begin as a heap snapshot does'
  const tailAt = Math.max(0, sizeBytes - TAIL.length)
  return text(fd, tailAt, TAIL.length) === TAIL ? undefined : 'it does not end with its table of strings'
}

function text(fd: number, position: number, lengthBytes: number): string {
  return read(fd, position, lengthBytes).toString('latin1')
}
