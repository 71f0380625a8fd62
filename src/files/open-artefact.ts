import { join } from 'node:path'
import { partialName, sidecarName } from '../core/names'
import { OPEN_EXISTING, close, open, write } from './disk'
import { attempt, createPartial, publishPartial, removePartial } from './partial'
import { run, runSync } from './step'
import type { Artefact, How, Sidecar } from './artefact'
import type { Descriptors, PartialArtefact } from './partial'
import type { Steps } from './step'

/**
 * A file of evidence that is being written under `<name>.partial`. End it with `publish` or `abandon`, or with their forms as
 * steps: those are for one story that does all of it, and that may have to end without an event loop.
 */
export interface OpenArtefact {
  /** Where to write: an empty regular file of mode 0600. */
  readonly partialPath: string
  /** The artefact as plain data, for {@link publishArtefactSync} in a child or another thread. */
  readonly partial: PartialArtefact

  /**
   * Appends a whole chunk. Chunks keep the order of the calls, awaited or not.
   *
   * @throws The file system's error. After one, `publish` refuses.
   */
  write(chunk: string | Uint8Array): Promise<void>

  /**
   * Verifies that the file is whole, syncs it, completes its sidecar and gives it its final name.
   *
   * @throws When it is not whole, was replaced or laid open to others, when the name is taken, or the file system fails.
   * Nothing of it is left then.
   */
  publish(how: How): Promise<Artefact>

  /**
   * Closes and removes the `.partial` and its sidecar. What was published, here or by a child, stays. Idempotent, never
   * rejects.
   */
  abandon(): Promise<void>

  /** {@link write} as steps. */
  writing(chunk: string | Uint8Array): Steps<void>

  /** {@link publish} as steps. */
  publishing(how: How): Steps<Artefact>

  /** {@link abandon} as steps. */
  abandoning(): Steps<void>
}

/**
 * Creates the files of a new artefact: `<name>.partial`, O_EXCL, 0600 whatever the umask, and its sidecar.
 *
 * @param directory - An absolute path.
 * @param fileName - A name from `core/names`, with its extension.
 * @param about - What the sidecar says beforehand: why the dump is made, and where.
 * @throws RangeError when the name is not an artefact's; the file system's error, also when anything at all, a symlink
 * included, stands at the final name or at those of the partial and the sidecar. Nothing is left then.
 */
export async function openArtefact(
  directory: string,
  fileName: string,
  about: Pick<Sidecar, 'why' | 'where'>,
): Promise<OpenArtefact> {
  const { partialFd, sidecarFd, ...partial } = await run(createPartial(directory, fileName, about))
  return new HeldArtefact(partial, { partialFd, sidecarFd })
}

/**
 * Publishes an artefact without an event loop or a thread pool: for a forked child, where V8 has written to the partial
 * path. The file is opened anew and must be the one that {@link openArtefact} created.
 *
 * @throws As {@link OpenArtefact.publish} does. Nothing is left then.
 */
export function publishArtefactSync(partial: PartialArtefact, how: How): Artefact {
  return runSync(publishByPath(partial, how))
}

class HeldArtefact implements OpenArtefact {
  readonly partialPath: string
  #writtenBytes = 0
  #lastUse: Promise<unknown> = Promise.resolve()
  #failure: { readonly error: unknown } | undefined
  #isOver = false

  constructor(
    readonly partial: PartialArtefact,
    private readonly descriptors: Descriptors,
  ) {
    this.partialPath = join(partial.directory, partialName(partial.fileName))
  }

  write(chunk: string | Uint8Array): Promise<void> {
    return this.#inTurn(this.writing(chunk))
  }

  publish(how: How): Promise<Artefact> {
    return this.#inTurn(this.publishing(how))
  }

  abandon(): Promise<void> {
    return this.#inTurn(this.abandoning())
  }

  *writing(chunk: string | Uint8Array): Steps<void> {
    this.#expectUsable()
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk
    const position = this.#writtenBytes
    this.#writtenBytes += bytes.length
    try {
      yield* write(this.descriptors.partialFd, bytes, position)
    } catch (error) {
      this.#failure = { error }
      throw error
    }
  }

  *publishing(how: How): Steps<Artefact> {
    try {
      this.#expectUsable()
      return yield* publishPartial(this.partial, this.descriptors, how)
    } finally {
      yield* this.abandoning()
    }
  }

  *abandoning(): Steps<void> {
    if (this.#isOver) return
    this.#isOver = true
    yield* closeAll(this.descriptors)
    yield* attempt(removePartial(this.partial))
  }

  /** One use of the descriptors at a time: closed under a running one, their numbers could name a stranger's file. */
  #inTurn<T>(use: Steps<T>): Promise<T> {
    const used = this.#lastUse.then(() => run(use))
    this.#lastUse = used.catch(() => undefined)
    return used
  }

  #expectUsable(): void {
    if (this.#failure !== undefined) throw this.#failure.error
    if (this.#isOver) throw new Error(`${this.partial.fileName} is closed`)
  }
}

function* publishByPath(partial: PartialArtefact, how: How): Steps<Artefact> {
  const { directory, fileName } = partial
  try {
    const partialFd = yield* open(join(directory, partialName(fileName)), OPEN_EXISTING)
    try {
      const sidecarFd = yield* open(join(directory, sidecarName(fileName)), OPEN_EXISTING)
      try {
        return yield* publishPartial(partial, { partialFd, sidecarFd }, how)
      } finally {
        yield* attempt(close(sidecarFd))
      }
    } finally {
      yield* attempt(close(partialFd))
    }
  } finally {
    yield* attempt(removePartial(partial))
  }
}

function* closeAll({ partialFd, sidecarFd }: Descriptors): Steps<void> {
  yield* attempt(close(partialFd))
  yield* attempt(close(sidecarFd))
}
