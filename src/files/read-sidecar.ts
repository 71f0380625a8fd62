import { open } from 'node:fs/promises'
import { OPEN_TO_READ } from './disk'
import type { FileHandle } from 'node:fs/promises'
import type { Evidence } from '../core/retention'

/** Longest sidecar that is read, bytes. Ours are a few KiB; what is longer is not ours. */
export const MAX_SIDECAR_BYTES = 1024 * 1024

/**
 * Reads a file that may be a sidecar. Follows no symlink, waits for no FIFO, reads no more than
 * {@link MAX_SIDECAR_BYTES}, and believes nobody's sidecar but one owned by this process's own user: a shared directory
 * holds what others want to be believed.
 *
 * @param path - Where the file is.
 * @param fileName - Name of the artefact that it should describe.
 * @returns `undefined` for whatever cannot be read or is no sidecar. Never rejects.
 */
export async function readSidecar(path: string, fileName: string): Promise<Evidence | undefined> {
  try {
    const handle = await open(path, OPEN_TO_READ)
    try {
      return factsOf(JSON.parse(await readText(handle)), fileName)
    } finally {
      await handle.close()
    }
  } catch {
    return undefined
  }
}

async function readText(handle: FileHandle): Promise<string> {
  const stats = await handle.stat()
  const isOwn = process.geteuid === undefined || stats.uid === process.geteuid()
  if (!stats.isFile() || !isOwn || stats.size > MAX_SIDECAR_BYTES) throw new Error('not a sidecar of ours')
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(MAX_SIDECAR_BYTES), 0, stats.size, 0)
  return buffer.toString('utf8', 0, bytesRead)
}

function factsOf(json: unknown, fileName: string): Evidence | undefined {
  const { tool, artefact, why, where } = record(json)
  const { rule } = record(why)
  const { host, directory, limits } = record(where)
  const { childDeadlineMs } = record(limits)
  if (!isString(tool) || !isString(artefact) || !isString(rule)) return undefined
  if (!isString(host) || !isString(directory)) return undefined
  const deadline = { childDeadlineMs: typeof childDeadlineMs === 'number' ? childDeadlineMs : undefined }
  return { fileName, tool, artefact, rule, host, directory, ...deadline }
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

function isString(value: unknown): value is string {
  return typeof value === 'string'
}
