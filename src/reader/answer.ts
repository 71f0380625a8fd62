import { basename } from 'node:path'
import type { Input } from './input'
import { openInput, readProfile } from './input'
import { isObject, UnreadableError } from './json'
import type { Circumstances, Owner, Part, Verdict } from './model'
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

/** A part with its thread in the verdict, if that is not the main thread. */
export function ofThread<Any extends Part>(part: Any, circumstances: Circumstances | undefined): Any {
  if (circumstances?.thread === undefined) return part
  const { verdict } = part
  return { ...part, verdict: { ...verdict, sentence: `${circumstances.thread}: ${verdict.sentence}` } }
}

/**
 * The verdict on an incident: that of its file, if the file shows the owner of the CPU time or the memory; else the owner, and the
 * verdict of the file second.
 *
 * @param part - From {@link ofThread}.
 * @param circumstances - The description beside its file.
 */
export function answerOf(part: Part, circumstances: Circumstances | undefined): Verdict {
  const { verdict } = part
  if (circumstances?.owner === undefined || showsOwner(part, circumstances.worker, circumstances.owner))
    return verdict
  const thread = circumstances.thread === undefined ? 'main thread: ' : ''
  return {
    found: false,
    sentence: circumstances.owner.sentence,
    hint: `${thread}${[verdict.sentence, verdict.hint].filter((text) => text !== undefined).join(' ')}`,
  }
}

/** @param worker - `threadId` of the thread that the part is about; `undefined` for the main thread. */
function showsOwner({ kind }: Part, worker: number | undefined, owner: Owner): boolean {
  switch (owner.kind) {
    case 'main':
      return worker === undefined
    case 'worker':
      return worker === owner.worker
    case 'buffers':
    case 'external':
      // A snapshot shows the objects that own them; a sampling profile has the heap alone.
      return worker === undefined && kind === 'snapshot'
    case 'waiting':
      return true
    case 'pool':
    case 'gc':
    case 'v8':
    case 'monitor':
    case 'other':
    case 'rest':
      return false
  }
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
