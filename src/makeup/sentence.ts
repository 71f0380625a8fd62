import { formatSize } from '../base/size'
import type { Makeup, MemoryUse, ThreadUse, UnreadWorker, WorkerHeap } from './makeup'
import { NOT_READ } from './threads'

/** Owner of most of the CPU time. `waiting`: the process used next to none. */
export type CpuOwner = 'main' | 'worker' | 'pool' | 'gc' | 'v8' | 'monitor' | 'other' | 'waiting'

/** Owner of most of the memory. `buffers`: ArrayBuffers and Buffers; `rest`: native memory, code and stacks. */
export type MemoryOwner = 'main' | 'worker' | 'buffers' | 'external' | 'rest'

/** Below this CPU use, percent of one core, a thread counts as mostly waiting for something else than a CPU. */
const WAITING_PERCENT = 15
/** From this share of the CPU time of the main thread and V8's threads on, garbage collection is the owner, percent. */
const GC_BOUND_PERCENT = 30
/** From this share of its own CPU time in collections on, V8's threads collect for the main thread too, percent. */
const COLLECTING_PERCENT = 15
/** Shortest wait for a CPU that the log line mentions, percent of the time. */
const LEAST_WAIT_PERCENT = 20
/** Longest name of a thread in a log line, characters. */
const MOST_NAME_LENGTH = 40

/** Returns the owner of most of the CPU time. */
export function cpuOwner(makeup: Makeup): CpuOwner {
  const [top] = byUse(makeup.threads)
  if (!top || isWaiting(makeup.cpuPercent, top)) return 'waiting'
  const isOfMain = top.kind === 'main' || top.kind === 'v8'
  if (isOfMain && gcShare(makeup) >= GC_BOUND_PERCENT) return 'gc'
  return top.kind
}

/** Where other processes take the CPUs, a busy thread uses little CPU, but is ready to run all the time. */
function isWaiting(cpuPercent: number, top: ThreadUse): boolean {
  return cpuPercent < WAITING_PERCENT && top.cpuPercent + (top.waitPercent ?? 0) < WAITING_PERCENT
}

/**
 * Share of garbage collection in the CPU time of the main thread and V8's threads, percent. V8's threads do most of a
 * collection, but they compile too: only the main thread's own share shows which of the two it was.
 */
function gcShare({ threads, gcPercent }: Makeup): number {
  if (gcPercent === undefined) return 0
  const percentOf = (wanted: ThreadUse['kind']): number =>
    threads.filter(({ kind }) => kind === wanted).reduce((sum, { cpuPercent }) => sum + cpuPercent, 0)
  const [mainPercent, v8Percent] = [percentOf('main'), percentOf('v8')]
  const usedPercent = mainPercent + v8Percent
  // V8's threads also compile, which is most of the work of a process that has just started and is idle.
  if (usedPercent < WAITING_PERCENT) return 0
  const isCollecting = (gcPercent / mainPercent) * 100 >= COLLECTING_PERCENT
  return Math.min(100, ((gcPercent + (isCollecting ? v8Percent : 0)) / usedPercent) * 100)
}

/** Returns the owner of most of the memory. */
export function memoryOwner(memory: MemoryUse): MemoryOwner {
  return memoryParts(memory)[0]?.owner ?? 'rest'
}

/** The worker thread whose heap, or what its objects own, holds the most memory; `undefined` when that is elsewhere. */
export function guiltyWorker(memory: MemoryUse): WorkerHeap | undefined {
  return memoryParts(memory)[0]?.worker
}

/** Names the owner of the CPU time, for the log line. */
export function cpuSentence(makeup: Makeup): string {
  const { cpuPercent, threads } = makeup
  const [top] = byUse(threads)
  const total = `CPU ${whole(cpuPercent)} % of a core`
  const owner = cpuOwner(makeup)
  if (!top) return total
  if (owner === 'waiting')
    return `${total}: the process mostly waited (for a child process, a lock, a disk, the network)${waitOf(threads)}`
  // A thread that waits for a CPU all the time may have used none.
  const share = (use: ThreadUse) => `${cpuPercent > 0 ? whole((use.cpuPercent / cpuPercent) * 100) : 0} %`
  const main = threads.find(({ kind }) => kind === 'main')
  const beside = main && main !== top ? `, the main thread ${share(main)}` : ''
  const used = `${total}: ${nameOf(top)} used ${share(top)} of it${beside}`
  return `${used}${hintOf(owner, makeup)}${waitOf(threads)}`
}

function hintOf(owner: CpuOwner, makeup: Makeup): string {
  if (owner === 'gc')
    return `; garbage collection took ${whole(gcShare(makeup))} % of the time of the main thread and V8's threads`
  return owner === 'pool' ? '; no CPU profile shows the work of the thread pool' : ''
}

/** Names the owners of the memory, for the log line. */
export function memorySentence({ memory }: Makeup): string {
  const parts = memoryParts(memory)
  const [first, ...others] = parts
  // Before the main thread's first report nothing can be taken from the rest.
  if (!first || memory.heapTotal === undefined) return `memory ${formatSize(memory.rss)}`
  const next = others.slice(0, 2).map(({ words, bytes }) => `${words} ${formatSize(bytes)}`)
  const total = `memory ${formatSize(memory.rss)}: ${first.words} ${formatSize(first.bytes)}`
  return `${[total, ...next].join(', ')}${first.hint ?? ''}`
}

const BUFFERS_HINT = '; a snapshot shows what refers to them, not their contents'
const REST_HINT = '; no snapshot shows native memory'

/** A part of the memory that one owner has. */
export interface MemoryPart {
  readonly owner: MemoryOwner
  readonly words: string
  readonly bytes: number
  /** For the log line, when this part is the largest. */
  readonly hint?: string
  readonly worker?: WorkerHeap
}

/**
 * Divides the memory into parts that do not overlap. Largest first, without what Node.js takes by itself: in a small process that would
 * be the largest part.
 *
 * @param nameOfWorker - Names a worker in the words of its parts.
 */
export function memoryParts(
  { heapTotal, external, arrayBuffers = 0, workers, unread = [], ...memory }: MemoryUse,
  nameOfWorker: (worker: UnreadWorker) => string = workerName,
): MemoryPart[] {
  const { rest, restAtStart = 0 } = memory
  const parts: MemoryPart[] = [
    { owner: 'rest', words: restInWords(unread, nameOfWorker), bytes: rest, hint: REST_HINT },
  ]
  if (heapTotal !== undefined)
    parts.push({ owner: 'main', words: 'heap of the main thread', bytes: heapTotal })
  if (external !== undefined) for (const part of externalParts({ external, arrayBuffers })) parts.push(part)
  for (const worker of workers) {
    const name = nameOfWorker(worker)
    parts.push({ owner: 'worker', words: `heap of ${name}`, bytes: worker.heapTotal, worker })
    for (const { words, ...part } of externalParts(worker))
      parts.push({ ...part, owner: 'worker', words: `${words} of ${name}`, worker })
  }
  const weightOf = ({ owner, bytes }: MemoryPart): number => (owner === 'rest' ? bytes - restAtStart : bytes)
  return parts.sort((one, other) => weightOf(other) - weightOf(one))
}

function restInWords(
  unread: readonly UnreadWorker[],
  nameOfWorker: (worker: UnreadWorker) => string,
): string {
  const [first] = unread
  if (first === undefined) return 'native memory and code'
  const workers = unread.length === 1 ? nameOfWorker(first) : `${unread.length} workers`
  return `native memory, code and ${workers} (not readable)`
}

function externalParts({
  external,
  arrayBuffers,
}: Pick<WorkerHeap, 'external' | 'arrayBuffers'>): MemoryPart[] {
  // Memory that was transferred to another thread counts in this one's arrayBuffers, and in the external of that one.
  const buffers = Math.min(arrayBuffers, external)
  return [
    { owner: 'buffers', words: 'Buffers and ArrayBuffers', bytes: buffers, hint: BUFFERS_HINT },
    ...(external > buffers
      ? [{ owner: 'external' as const, words: 'other external memory', bytes: external - buffers }]
      : []),
  ]
}

/** Sorts by CPU use, largest first, without the monitor's own thread unless busy: it works while others wait. */
function byUse(threads: readonly ThreadUse[]): ThreadUse[] {
  return threads
    .filter(({ kind, cpuPercent }) => kind !== 'monitor' || cpuPercent >= WAITING_PERCENT)
    .sort((one, other) => other.cpuPercent - one.cpuPercent)
}

function nameOf(use: ThreadUse): string {
  const { kind, name, id, count = 1 } = use
  switch (kind) {
    case 'main':
      return 'the main thread'
    case 'worker':
      return id === undefined ? `${count} workers together` : workerName({ id, name })
    case 'pool':
      return 'the thread pool (crypto, zlib, fs, dns)'
    case 'v8':
      return "V8's threads (compilation or collection)"
    case 'monitor':
      return "the monitor's thread"
    case 'other':
      if (name === NOT_READ) return name
      if (count === 1) return `a thread that is neither Node's nor a known worker's (${quoted(name)})`
      return name === '' ? `${count} other threads together` : `${count} threads named ${quoted(name)}`
  }
}

function workerName({ id, name }: { readonly id: number; readonly name: string }): string {
  return name === '' ? `worker ${id}` : `worker ${id} ${quoted(name)}`
}

/** Quotes a name, which the application chose: replaces unprintable characters, and cuts it. */
function quoted(name: string): string {
  const text = name.replace(/[^\x20-\x7e\u00a0-\ud7ff\ue000-\uffff]/g, '?')
  return `'${text.length > MOST_NAME_LENGTH ? `${text.slice(0, MOST_NAME_LENGTH)}…` : text}'`
}

function waitOf(threads: readonly ThreadUse[]): string {
  const waitPercent = byUse(threads)[0]?.waitPercent ?? 0
  if (waitPercent < LEAST_WAIT_PERCENT) return ''
  return `; the busiest thread was ready to run but had no CPU for ${whole(waitPercent)} % of the time`
}

function whole(value: number): number {
  return Math.round(value)
}
