import { basename } from 'node:path'
import type { Input } from './input'
import { openInput, readProfile } from './input'
import { isObject, UnreadableError } from './json'
import type { Part } from './model'
import { readCpuProfile } from './profile/cpu-profile'
import { readHeapProfile } from './profile/heap-profile'
import type { Locator } from './source-maps'

/** Reads a CPU profile or a sampling heap profile; the content decides which, not the name. */
export function readProfilePart(input: Input, locator: Locator, maxBytes?: number): Part {
  const content = readProfile(input, maxBytes)
  const file = basename(input.path)
  if (isObject(content) && Array.isArray(content['nodes'])) return readCpuProfile(content, file, locator)
  if (isObject(content) && isObject(content['head'])) return readHeapProfile(content, file, locator)
  throw new UnreadableError('is neither a CPU profile, a sampling heap profile, nor a heap snapshot')
}

/** Opens a file; the message of a failure begins with the file's name. */
export function open(path: string): Input {
  return naming(path, () => openInput(path))
}

/** Runs something that reads a file; the message of its failure begins with the file's name. */
export function naming<T>(path: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw named(path, error)
  }
}

export function named(path: string, error: unknown): Error {
  if (error instanceof UnreadableError) return new UnreadableError(`${path} ${error.message}`)
  const { code, message } = error as NodeJS.ErrnoException
  return new UnreadableError(
    `${path} cannot be read: ${code === 'ENOENT' ? 'there is no such file' : message}`,
  )
}
