import { formatSize } from '../base/size'
import type { Makeup, MemoryUse, ThreadUse, UnreadWorker, WorkerHeap } from './makeup'
import { NOT_READ } from './threads'

/** Kind of thread, or kind of work (`gc`), that used the most CPU time. `waiting`: the process used next to none. */
export type CpuOwner = 'main' | 'worker' | 'pool' | 'gc' | 'v8' | 'monitor' | 'other' | 'waiting'

/**
 * Owner of a part of the memory. `buffers`: ArrayBuffers and Buffers of the main thread; `external`: other memory outside of the
 * V8 heap that its objects own; `rest`: native memory, code and stacks.
 */
export type MemoryOwner = 'main' | 'worker' | 'buffers' | 'external' | 'rest'

/** A process or thread with less CPU use than this counts as waiting: for I/O, a lock, a timer. Percent of one core. */
const WAITING_PERCENT = 15
/** Garbage collection is named as the cause if it takes at least this percentage of the CPU time of the main and V8's threads. */
const GC_BOUND_PERCENT = 30
/** V8's threads count as collecting, not compiling, if garbage collection takes at least this percentage of main's CPU time. */
const COLLECTING_PERCENT = 15
/** The log line mentions a thread's wait for a CPU only if the thread waited for at least this percentage of the time. */
const LEAST_WAIT_PERCENT = 20
/** Longest name of a thread in a log line, characters. */
const MOST_NAME_LENGTH = 40

/** Returns the kind of thread, or kind of work, that used the most CPU time. */
export function cpuOwner(makeup: Makeup): CpuOwner {
  const [top] = byUse(makeup.threads)
  if (!top || isWaiting(makeup.cpuPercent, top)) return 'waiting'
  const isOfMain = top.kind === 'main' || top.kind === 'v8'
  if (isOfMain && gcShare(makeup) >= GC_BOUND_PERCENT) return 'gc'
  return top.kind
}

/** Whether the process waits for I/O, a lock or a timer. Time in which its busiest thread got no CPU does not count as that. */
function isWaiting(cpuPercent: number, top: ThreadUse): boolean {
  return cpuPercent < WAITING_PERCENT && top.cpuPercent + (top.waitPercent ?? 0) < WAITING_PERCENT
}

/**
 * Returns the percentage, 0 to 100, of the CPU time of the main thread and V8's threads that garbage collection took. V8's
 * threads both collect and compile. The CPU time that the main thread itself spends collecting shows which of the two they did.
 */
function gcShare({ threads, gcPercent }: Makeup): number {
  if (gcPercent === undefined) return 0
  const percentOf = (wanted: ThreadUse['kind']): number =>
    threads.filter(({ kind }) => kind === wanted).reduce((sum, { cpuPercent }) => sum + cpuPercent, 0)
  const [mainPercent, v8Percent] = [percentOf('main'), percentOf('v8')]
  const usedPercent = mainPercent + v8Percent
  // In an idle process that has just started, most CPU time is V8's compilation.
  if (usedPercent < WAITING_PERCENT) return 0
  const isCollecting = (gcPercent / mainPercent) * 100 >= COLLECTING_PERCENT
  return Math.min(100, ((gcPercent + (isCollecting ? v8Percent : 0)) / usedPercent) * 100)
}

/** Returns the owner of the largest part of the memory. */
export function memoryOwner(memory: MemoryUse): MemoryOwner {
  return memoryParts(memory)[0]?.owner ?? 'rest'
}

/** Returns the worker that owns the largest part of the memory; `undefined` when no worker owns the largest part. */
export function guiltyWorker(memory: MemoryUse): WorkerHeap | undefined {
  return memoryParts(memory)[0]?.worker
}

/** Text for the log line: the CPU use of the process, and which thread used most of it. */
export function cpuSentence(makeup: Makeup): string {
  const { cpuPercent, threads } = makeup
  const [top] = byUse(threads)
  const total = `CPU ${whole(cpuPercent)} % of a core`
  const owner = cpuOwner(makeup)
  if (!top) return total
  if (owner === 'waiting')
    return `${total}: the process mostly waited (for a child process, a lock, a disk, the network)${waitOf(threads)}`
  // The total is 0 when all threads waited for a CPU the whole time.
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

/** Text for the log line: the memory of the process, and the three largest parts of it. */
export function memorySentence({ memory }: Makeup): string {
  const parts = memoryParts(memory)
  const [first, ...others] = parts
  // Without a report of the main thread, name no parts: `rest` then contains its heap too.
  if (!first || memory.heapTotal === undefined) return `memory ${formatSize(memory.rss)}`
  const next = others.slice(0, 2).map(({ words, bytes }) => `${words} ${formatSize(bytes)}`)
  const total = `memory ${formatSize(memory.rss)}: ${first.words} ${formatSize(first.bytes)}`
  return `${[total, ...next].join(', ')}${first.hint ?? ''}`
}

const BUFFERS_HINT = '; a heap snapshot shows what refers to Buffers, not their contents'
const REST_HINT = '; no snapshot shows native memory'

/** A part of the memory that one owner has. */
export interface MemoryPart {
  readonly owner: MemoryOwner
  readonly words: string
  readonly bytes: number
  /** Appended to the log line when this part is the largest. */
  readonly hint?: string
  readonly worker?: WorkerHeap
}

/**
 * Divides the memory into parts that do not overlap, largest first. For this order, the memory that Node.js takes by itself
 * (`restAtStart`) is not counted: otherwise native memory would be the largest part of any small process.
 *
 * @param nameOfWorker - Returns the name of a worker in the texts (`words`) of its parts.
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
  return `native memory, code and ${workers} (not measured separately)`
}

function externalParts({
  external,
  arrayBuffers,
}: Pick<WorkerHeap, 'external' | 'arrayBuffers'>): MemoryPart[] {
  // `arrayBuffers` can exceed `external`: a buffer transferred to another thread still counts in its sender's `arrayBuffers`.
  const buffers = Math.min(arrayBuffers, external)
  return [
    { owner: 'buffers', words: 'Buffers and ArrayBuffers', bytes: buffers, hint: BUFFERS_HINT },
    ...(external > buffers
      ? [{ owner: 'external' as const, words: 'other external memory', bytes: external - buffers }]
      : []),
  ]
}

/**
 * Sorts threads by CPU use, largest first. Leaves out this library's own thread unless it is busy: it also runs while all
 * others are idle, and would then be the first.
 */
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
      return "V8's threads (compilation or garbage collection)"
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

/** Quotes a thread's name. Unprintable characters become `?` and long names are cut, because the application chose the name. */
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
