import { randomUUID } from 'node:crypto'
import { closeSync, openSync, renameSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { codeOf, toJson } from '../../base/globals'
import { CREATE_NEW, write } from '../../files/disk'
import { TOOL } from '../../files/expiry'
import { readSent, SENT_FILE } from '../../files/sent-list'

/** Names that are remembered for one destination; the directory itself is read up to 100000. */
const MOST_NAMES = 100_000

/**
 * The names of a directory's artefacts that are in the bucket. Only a memory: where it cannot be written or is lost, the bucket is
 * asked, so nothing is sent twice. Not in the `.json` of an artefact, because that must stay the one that was sent.
 */
export class SentList {
  readonly #place: string
  readonly #destination: string
  readonly #all: Record<string, readonly string[]>
  readonly names: Set<string>

  constructor(place: string, destination: string) {
    this.#place = place
    this.#destination = destination
    this.#all = readSent(place)
    this.names = new Set(this.#all[destination])
  }

  /** Forgets what is no longer there, with the next {@link add}. */
  prune(isThere: (artefact: string) => boolean): void {
    for (const name of this.names) if (!isThere(name)) this.names.delete(name)
  }

  /** @returns Why it could not be written, if so. */
  add(artefact: string): string | undefined {
    this.names.add(artefact)
    const sent = { ...this.#all, [this.#destination]: [...this.names].slice(-MOST_NAMES) }
    return replaceFile(join(this.#place, SENT_FILE), toJson({ tool: TOOL, sent }))
  }
}

/** By another name and a rename: the file is always whole. The name cannot be guessed, and a link under the old one is replaced. */
function replaceFile(path: string, text: string): string | undefined {
  const next = `${path}.${randomUUID()}`
  try {
    const fd = openSync(next, CREATE_NEW, 0o600)
    try {
      write(fd, Buffer.from(text), 0)
    } finally {
      closeSync(fd)
    }
    renameSync(next, path)
    return undefined
  } catch (error) {
    removeQuietly(next)
    // Without the path through the held directory, which means nothing to the operator.
    return codeOf(error)
  }
}

function removeQuietly(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // It was not created.
  }
}
