import { randomUUID } from 'node:crypto'
import { closeSync, openSync, renameSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { codeOf, toJson } from '../../base/globals'
import { CREATE_NEW, write } from '../../files/disk'
import { TOOL } from '../../files/expiry'
import { readSent, SENT_FILE } from '../../files/sent-list'
import type { UploadSettings } from './options'

/** Maximum number of file names in the list for one destination: as many as entries of a directory are read. */
const MOST_NAMES = 100_000

/**
 * Returns the key of a destination (endpoint, bucket and prefix) in the list of sent files. User and password of the `endpoint`
 * are left out, because the list is on disk.
 */
export function destinationOf({ endpoint = '', bucket, prefix }: Destination): string {
  return `${withoutLogin(endpoint)}/${bucket}/${prefix}`
}

type Destination = Pick<UploadSettings, 'endpoint' | 'bucket' | 'prefix'>

function withoutLogin(endpoint: string): string {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined
  if (!url || (url.username === '' && url.password === '')) return endpoint
  return Object.assign(url, { username: '', password: '' }).href
}

/**
 * List of a directory's dump files that are in the bucket. It is only a cache: if it cannot be written or is lost, the bucket is
 * asked for each file. A file is sent twice only if the credentials do not allow that request (HEAD). The `.json` of a file does
 * not record the upload, because it must stay as it was sent.
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

  /** Removes names of files that no longer exist. The next {@link add} writes the shorter list. */
  prune(isThere: (artefact: string) => boolean): void {
    for (const name of this.names) if (!isThere(name)) this.names.delete(name)
  }

  /** Adds a file and writes the list. @returns Error code if the list could not be written. */
  add(artefact: string): string | undefined {
    this.names.add(artefact)
    const sent = { ...this.#all, [this.#destination]: [...this.names].slice(-MOST_NAMES) }
    return replaceFile(join(this.#place, SENT_FILE), toJson({ tool: TOOL, sent }))
  }
}

/**
 * Replaces a file: writes a new one and renames it, so that the file is always complete. Another user cannot occupy the random
 * name of the new file in advance.
 *
 * @returns Error code if the file could not be replaced.
 */
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
    // Return only the code: the message contains a path through /proc that means nothing to the operator.
    return codeOf(error)
  }
}

function removeQuietly(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // The file was not created, or it cannot be deleted.
  }
}
