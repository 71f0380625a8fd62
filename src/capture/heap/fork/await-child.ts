import { Buffer } from 'node:buffer'
import { Socket } from 'node:net'
import { constants } from 'node:os'
import { ownOnly, parseJson, Promise } from '../../../base/globals'
import { clearInterval, monotonicMs, pause, setInterval } from '../../../base/time'
import { readChildUsage } from '../../../system/proc'
import type { ChildEnd, ForkHelper } from './helper'
import type { ChildReport } from './job'
import { type ChildLimits, type ChildVerdict, ChildWatch, type GuardVerdict } from './verdict'

/** Reasons, for the log and a dump's `.json`, why the guard has ended a forked child. The guard is a timer that checks it. */
const WHY: Readonly<Record<GuardVerdict, string>> = {
  stuck: 'the forked child made no progress and was ended',
  'out of memory': 'the forked child was ended because it left too little memory for the application',
  late: 'the forked child was not done within its deadline and was ended',
}

/** Interval at which the guard, a timer of the parent, checks a running child, ms. */
const GUARD_MS = 100
/**
 * Number of checks after the child's end, at the last of which the guard closes the child's pipe if it is still open. Normally
 * Node reports the close when the child ends, but an application can break Node's sockets, for example by setting
 * `Object.prototype.reading`.
 */
const LOOKS_AFTER_END = 3
/** Interval at which a child that has closed its pipe, and so ends soon, is checked for its end, ms. */
const REAP_EVERY_MS = 20
/** Time after which a child that has closed its pipe, but has not ended, is killed, ms; the wait ends after twice this time. */
const REAP_WITHIN_MS = 2000

/** A forked child whose end is awaited. */
export interface ChildToAwait {
  readonly pid: number
  /** The read end of the pipe that carries the child's report. {@link awaitChild} closes it. */
  readonly resultDescriptor: number
}

/** Limits of a forked child, and the figures by which the parent notices that memory is running out. */
export interface ChildGuard extends ChildLimits {
  /** Memory that the child's snapshot takes in the worst case, bytes. */
  readonly needBytes: number
  /** Memory that is available now, bytes. */
  readonly availableBytes: () => number
}

/** How a child ended: with its report, or with the reason why there is none. */
export type ChildOutcome = { readonly kind: 'reported'; readonly report: ChildReport } | ChildFailure

/** Why a forked child ended without a report. */
export interface ChildFailure {
  readonly kind: ChildVerdict
  readonly why: string
  /** Memory that was available when the parent ended the child because memory was short, bytes. */
  readonly leftBytes?: number
}

const { SIGABRT, SIGALRM, SIGBUS, SIGILL, SIGKILL, SIGSEGV, SIGSYS, SIGTRAP } = constants.signals
/** Signals with which V8 ends a process when it cannot allocate memory, or when an internal check fails. */
const BY_V8 = new Set([SIGABRT, SIGILL, SIGTRAP])
const CRASHED = new Set([SIGSEGV, SIGBUS])

/**
 * Waits for a forked child, and returns its report or why there is none. A timer, the guard, checks the child ten times a
 * second, and ends it if it is stuck, late, or uses memory that the application needs. The wait does not keep the process
 * alive.
 */
export async function awaitChild(
  helper: Pick<ForkHelper, 'wait' | 'exitCodes'>,
  { pid, resultDescriptor }: ChildToAwait,
  guard: ChildGuard,
): Promise<ChildOutcome> {
  const child = new ChildProcess(helper, pid)
  const pipe = openPipe(resultDescriptor)
  const stopGuard = startGuard(child, guard, pipe.close)
  const text = await pipe.text
  const endedByGuard = stopGuard()
  const end = ownOnly(await reap(child))
  const report = parseReport(text)
  if (report) return { kind: 'reported', report }
  return endedByGuard ?? explain(helper, end, guard.needBytes > guard.allowanceBytes)
}

/**
 * Starts the guard: a timer that checks the child and ends it when it is stuck, late, or uses too much memory.
 *
 * @param closePipe - Called when the child's pipe is still open at the third check after the child's end.
 * @returns A function that stops the guard, and returns why the guard ended the child, if it did.
 */
function startGuard(
  child: ChildProcess,
  guard: ChildGuard,
  closePipe: () => void,
): () => ChildFailure | undefined {
  const watch = new ChildWatch(monotonicMs(), guard)
  let failure: ChildFailure | undefined
  let looksAfterEnd = 0
  const timer = setInterval(() => {
    if (child.end() && ++looksAfterEnd === LOOKS_AFTER_END) closePipe()
    if (failure || child.end()) return
    const availableBytes = guard.availableBytes()
    const kind = watch.judge({ atMs: monotonicMs(), usage: readChildUsage(child.pid), availableBytes })
    if (!kind) return
    failure = { kind, why: WHY[kind], ...(kind === 'out of memory' && { leftBytes: availableBytes }) }
    child.kill()
  }, GUARD_MS)
  timer.unref()
  return () => {
    clearInterval(timer)
    return failure
  }
}

/** A forked child. Remembers its end, because the pid may belong to another process once the child has been reaped. */
class ChildProcess {
  readonly #helper: Pick<ForkHelper, 'wait'>
  readonly pid: number
  #end: ChildEnd | undefined

  constructor(helper: Pick<ForkHelper, 'wait'>, pid: number) {
    this.#helper = helper
    this.pid = pid
  }

  /** How the child ended; `undefined` while it lives. */
  end(): ChildEnd | undefined {
    return (this.#end ??= this.#helper.wait(this.pid))
  }

  kill(): void {
    if (this.end()) return
    try {
      process.kill(this.pid, 'SIGKILL')
    } catch {
      return
    }
  }
}

/** A pipe from the child. `text` resolves, when the pipe closes, to all text that came through it. */
interface ChildPipe {
  readonly text: Promise<string>
  readonly close: () => void
}

/** Reads the pipe as a socket: reading it as a file would occupy a thread of libuv's pool until the child ends. */
function openPipe(descriptor: number): ChildPipe {
  // `signal` is given, although undefined: Node copies the options into an object with a prototype, and would otherwise use
  // an `Object.prototype.signal` that the application has set.
  const socket = new Socket({ fd: descriptor, readable: true, writable: false, signal: undefined })
  const close = (): void => void socket.destroy()
  const text = new Promise<string>((resolve) => {
    const chunks: Buffer[] = []
    socket.unref()
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.on('error', close)
    socket.on('close', () => resolve(Buffer.concat(chunks).toString('utf8')))
  })
  return { text, close }
}

/** Reaps a child that has closed its pipe. Kills the child if it has not ended after 2 s, and gives up after 4 s. */
async function reap(child: ChildProcess): Promise<ChildEnd> {
  for (let waitedMs = 0; ; waitedMs += REAP_EVERY_MS) {
    const end = child.end()
    if (end) return end
    if (waitedMs >= REAP_WITHIN_MS) child.kill()
    if (waitedMs >= 2 * REAP_WITHIN_MS) return { lost: true }
    await pause(REAP_EVERY_MS)
  }
}

function parseReport(text: string): ChildReport | undefined {
  try {
    return text === '' ? undefined : (parseJson(text) as ChildReport)
  } catch {
    return undefined
  }
}

/**
 * Finds out, from its exit code or signal, why a child ended without a report.
 *
 * @param mayStarve - Whether the snapshot may need more memory than the child was allowed. If not, a signal by V8 counts as a
 * crash, not as lack of memory. SIGKILL always counts as lack of memory, which other processes can have used up.
 */
function explain(
  { exitCodes }: Pick<ForkHelper, 'exitCodes'>,
  { code, signal, lost }: ChildEnd,
  mayStarve: boolean,
): ChildFailure {
  if (lost)
    return {
      kind: 'ended',
      why: 'how the forked child ended is unknown: other code took its exit status, or it did not end',
    }
  if (code === exitCodes.waitedForThread)
    return { kind: 'stuck', why: 'the forked child waited for a thread that only its parent has' }
  if (signal === undefined)
    return { kind: 'failed', why: `the forked child ended without a report (exit code ${code})` }
  if (signal === SIGALRM) return { kind: 'late', why: WHY.late }
  if (signal === SIGSYS)
    return {
      kind: 'failed',
      why: 'the forked child was ended: it made a system call that a seccomp filter forbids',
    }
  if (signal === SIGKILL)
    return {
      kind: 'out of memory',
      why: 'the forked child was killed (SIGKILL), as the kernel does when memory runs out',
    }
  if (mayStarve && BY_V8.has(signal))
    return { kind: 'out of memory', why: `the forked child could not allocate memory (signal ${signal})` }
  if (BY_V8.has(signal) || CRASHED.has(signal))
    return { kind: 'stuck', why: `the forked child crashed (signal ${signal})` }
  return { kind: 'ended', why: `the forked child was ended by signal ${signal}` }
}
