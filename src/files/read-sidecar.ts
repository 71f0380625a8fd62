import { closeSync, fstatSync, openSync } from 'node:fs'
import { OPEN_TO_READ, read } from './disk'
import type { Evidence } from './expiry'

/** Longest sidecar that is read, bytes. Those of this library have a few KiB. */
export const MAX_SIDECAR_BYTES = 1024 * 1024

/**
 * Reads a file that may be a sidecar. Follows no symlink, waits for no FIFO, reads at most {@link MAX_SIDECAR_BYTES}, and
 * trusts only files of this process's own user: in a shared directory other users can write whatever they like.
 *
 * @param path - Path of the file.
 * @param fileName - Name of the artefact that it should describe.
 * @returns `undefined` for a file that cannot be read or is no sidecar. Never throws.
 */
export function readSidecar(path: string, fileName: string): Evidence | undefined {
  try {
    const fd = openSync(path, OPEN_TO_READ)
    try {
      const stats = fstatSync(fd)
      const isOwn = process.geteuid === undefined || stats.uid === process.geteuid()
      if (!stats.isFile() || !isOwn || stats.size > MAX_SIDECAR_BYTES) return undefined
      return factsOf(JSON.parse(read(fd, 0, stats.size).toString('utf8')), fileName)
    } finally {
      closeSync(fd)
    }
  } catch {
    return undefined
  }
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
