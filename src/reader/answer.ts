import { basename } from 'node:path'
import type { Input } from './input'
import { openInput, readProfile } from './input'
import { isObject, UnreadableError } from './json'
import type { Circumstances, Owner, Part, Verdict } from './model'
import { describePlace } from './place'
import { readCpuProfile } from './profile/cpu-profile'
import { readHeapProfile } from './profile/heap-profile'
import type { Locator } from './source-maps'
import { formatMicroseconds } from './units'

/**
 * Minimum delay from the order for a profile of the main thread to the beginning of the profile, ms, for which the verdict blames
 * the call in which the profile begins.
 */
const HELD_MS = 1000

/**
 * Reads a profile file and returns the part of the report on it. The content of the file decides whether it is read as a CPU
 * profile or as a sampling heap profile; its name does not matter.
 */
export function readProfilePart(input: Input, locator: Locator, maxBytes?: number): Part {
  const content = readProfile(input, maxBytes)
  const file = basename(input.path)
  if (isObject(content) && Array.isArray(content['nodes'])) return readCpuProfile(content, file, locator)
  if (isObject(content) && isObject(content['head'])) return readHeapProfile(content, file, locator)
  throw new UnreadableError('is neither a CPU profile, a sampling heap profile, nor a heap snapshot')
}

/** If the file is about a worker thread, puts the name of the thread before the verdict. Else returns the part unchanged. */
export function ofThread<Any extends Part>(part: Any, circumstances: Circumstances | undefined): Any {
  if (circumstances?.thread === undefined) return part
  const { verdict } = part
  return { ...part, verdict: { ...verdict, sentence: `${circumstances.thread}: ${verdict.sentence}` } }
}

/**
 * Returns the verdict on a dump, from one of its files. If the main thread did not respond for at least 1 s ({@link HELD_MS})
 * before the profile began, the verdict names the call in which the profile begins, and the file's own verdict follows as the
 * hint. Else, if the file can show what used most of the CPU time or memory, or if it is not known what did, the verdict is the
 * file's own. Else the verdict names what used most, such as another thread, and the file's own verdict is the hint.
 *
 * @param part - The part of the report on the file, after {@link ofThread} has put a worker thread's name into its verdict.
 * @param circumstances - The content of the `.json` description beside the file.
 */
export function answerOf(part: Part, circumstances: Circumstances | undefined): Verdict {
  const { verdict } = part
  const held = heldBy(part, circumstances)
  if (held !== undefined) return held
  if (circumstances?.owner === undefined || showsOwner(part, circumstances.worker, circumstances.owner))
    return verdict
  const thread = circumstances.thread === undefined ? 'main thread: ' : ''
  return {
    found: false,
    sentence: circumstances.owner.sentence,
    hint: `${thread}${[verdict.sentence, verdict.hint].filter((text) => text !== undefined).join(' ')}`,
  }
}

/**
 * The verdict on a CPU profile that the main thread began at least 1 s ({@link HELD_MS}) after the order; `undefined` for other
 * profiles. A thread in a native call, such as execSync, begins an ordered profile only when this call returns. The first sample
 * of the profile is then in the call that held the thread.
 */
function heldBy(part: Part, { lateMs = 0, worker, owner }: Partial<Circumstances> = {}): Verdict | undefined {
  const isOfMain = worker === undefined && ['main', 'waiting', undefined].includes(owner?.kind)
  if (part.kind !== 'cpu' || part.begins === undefined || !isOfMain || lateMs < HELD_MS) return undefined
  const { place, caller } = part.begins
  const calledBy = caller === undefined ? '' : `, called by ${describePlace(caller)}`
  return {
    found: true,
    sentence:
      `The main thread did not respond for ${formatMicroseconds(lateMs * 1000)} before this profile, ` +
      `which begins in ${describePlace(place)}${calledBy}.`,
    place,
    hint: `After that: ${part.verdict.sentence}`,
  }
}

/**
 * Whether the file that a part of the report is about can show what the owner did: the thread or kind of memory with most of the
 * process's CPU time or memory. `true` also if the process mostly waited.
 *
 * @param worker - `threadId` of the thread that the part is about; `undefined` for the main thread.
 */
function showsOwner({ kind }: Part, worker: number | undefined, owner: Owner): boolean {
  switch (owner.kind) {
    case 'main':
      return worker === undefined
    case 'worker':
      return worker === owner.worker
    case 'buffers':
    case 'external':
      // A snapshot shows the objects that own buffers and external memory; a sampling heap profile shows only V8's heap.
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

/**
 * Opens a file to report on. If that fails, the error's message begins with the file's path.
 *
 * @param owner - Id of the user that must own the file; symbolic links are then refused too. Without it, both are accepted: files
 *   of any user, and links.
 */
export function open(path: string, owner?: number): Input {
  return naming(path, () => openInput(path, owner))
}

/** Runs `read` and returns its result. If it throws, throws an UnreadableError whose message begins with the file's path. */
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
    `${path} cannot be read: ${code === 'ENOENT' ? 'there is no such file or directory' : message}`,
  )
}
