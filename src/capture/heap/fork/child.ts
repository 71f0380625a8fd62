import { Buffer } from 'node:buffer'
import { Socket } from 'node:net'
import { constants } from 'node:os'
import { ChildWatch, type ChildVerdict } from './verdict'
import { readChildUsage } from '../../../system/proc'
import type { ChildEnd, ForkHelper } from './helper'
import type { ChildReport } from './job'
import { monotonicMs } from '../../../base/clock'
import { ownOnly, parseJson, Promise } from '../../../base/globals'
import { clearInterval, pause, setInterval } from '../../../base/timers'

const LATE = 'the child was not done in time'

/** How often the guard looks at a running child, ms. */
export const GUARD_MS = 100
/**
 * The pipe ends with the child. An application can break Node's sockets (`Object.prototype.reading` does), so that the end is
 * not reported: the pipe is closed at this look of the guard after the child's end.
 */
const LOOKS_AFTER_END = 3
/** How often, and how long, a child that has closed its pipe is waited for, ms. */
const REAP_EVERY_MS = 20
const REAP_WITHIN_MS = 2000

export interface ChildToAwait {
  readonly pid: number
  /** The pipe's end for reading: gives the child's report. It is closed here. */
  readonly resultDescriptor: number
}

export interface ChildGuard {
  /** How long the child may take in all, ms. */
  readonly deadlineMs: number
  /** What must stay available for the application, bytes. */
  readonly reserveBytes: number
  /** What the child may have beyond what it was born with, bytes. */
  readonly allowanceBytes: number
  /** What its job takes in the worst case, bytes. */
  readonly needBytes: number
  /** What is available now, bytes. */
  readonly availableBytes: () => number
}

/**
 * How a child ended: `reported`; `stuck`, forked at an unlucky moment, so that another fork may do better; `hungry`, for lack of
 * memory; `ended` by another process or for the time it took; `failed` without having begun.
 */
export type ChildOutcome =
  | { readonly kind: 'reported'; readonly report: ChildReport }
  | {
      readonly kind: 'hungry'
      readonly why: string
      /** What was available when it was ended for that, bytes. */
      readonly leftBytes?: number
    }
  | { readonly kind: 'stuck' | 'ended' | 'failed'; readonly why: string }

const { SIGABRT, SIGALRM, SIGBUS, SIGILL, SIGKILL, SIGSEGV, SIGSYS, SIGTRAP } = constants.signals
/** How V8 ends a process when it finds no memory, or meets a state that must not occur. */
const BY_V8 = new Set([SIGABRT, SIGILL, SIGTRAP])
const CRASHED = new Set([SIGSEGV, SIGBUS])

/**
 * Waits for a forked child, on whichever thread this runs: woken by the end of its pipe, and ten times a second by the guard,
 * which ends a child that stalls, is late, or takes memory that the application needs. Keeps no process alive.
 */
export async function awaitChild(
  helper: Pick<ForkHelper, 'wait' | 'exitCodes'>,
  child: ChildToAwait,
  guard: ChildGuard,
): Promise<ChildOutcome> {
  const forked = new ChildProcess(helper, child.pid)
  const pipe = openPipe(child.resultDescriptor)
  const stopGuard = startGuard(forked, guard, pipe.close)
  const text = await pipe.text
  const verdict = stopGuard()
  const end = ownOnly(await reap(forked))
  const report = parseReport(text)
  if (report) return { kind: 'reported', report }
  if (verdict) return judged(verdict)
  return explain(helper, end, guard.needBytes > guard.allowanceBytes)
}

/** What the guard ended a child for, and what was available then, bytes. */
interface Verdict {
  readonly endedFor: ChildVerdict
  readonly leftBytes: number
}

/** @param closePipe - Called when the child has ended and the pipe, which should have ended with it, has not. */
function startGuard(
  child: ChildProcess,
  guard: ChildGuard,
  closePipe: () => void,
): () => Verdict | undefined {
  const { deadlineMs, reserveBytes, allowanceBytes } = guard
  const watch = new ChildWatch(monotonicMs(), deadlineMs, reserveBytes, allowanceBytes)
  let verdict: Verdict | undefined
  let looksAfterEnd = 0
  const timer = setInterval(() => {
    if (child.end() && ++looksAfterEnd === LOOKS_AFTER_END) closePipe()
    if (verdict || child.end()) return
    const seen = readChildUsage(child.pid)
    const usage = seen && { ...seen, cpu: seen.cpuTicks }
    const availableBytes = guard.availableBytes()
    const endedFor = watch.judge({ atMs: monotonicMs(), usage, availableBytes })
    if (!endedFor) return
    verdict = { endedFor, leftBytes: availableBytes }
    child.kill()
  }, GUARD_MS)
  timer.unref()
  return () => {
    clearInterval(timer)
    return verdict
  }
}

/** The child by its pid, which may be another process's as soon as the child has been reaped. */
class ChildProcess {
  readonly #helper: Pick<ForkHelper, 'wait'>
  readonly pid: number
  #end: ChildEnd | undefined

  constructor(helper: Pick<ForkHelper, 'wait'>, pid: number) {
    this.#helper = helper
    this.pid = pid
  }

  /** How it ended; `undefined` while it lives. */
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

/** What comes through the pipe until it ends or is closed. */
interface ChildPipe {
  readonly text: Promise<string>
  readonly close: () => void
}

/** A socket and not a file: reading a pipe as a file would hold a thread of libuv's pool until the child ends. */
function openPipe(descriptor: number): ChildPipe {
  // Node copies the options into an object with a prototype, and looks for a signal there.
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

/** The pipe ends a moment before the process can be reaped. */
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

function judged({ endedFor, leftBytes }: Verdict): ChildOutcome {
  switch (endedFor) {
    case 'stalled':
      return { kind: 'stuck', why: 'the child made no progress' }
    case 'hungry':
      return { kind: 'hungry', why: 'the child left too little memory', leftBytes }
    case 'late':
      return { kind: 'ended', why: LATE }
  }
}

/**
 * @param mayStarve - The job may need more than the child was allowed. Where it may not, V8 did not end it for lack of memory.
 * The kernel still may have: other processes can have taken what was available at the fork.
 */
function explain(
  { exitCodes }: Pick<ForkHelper, 'exitCodes'>,
  { code, signal, lost }: ChildEnd,
  mayStarve: boolean,
): ChildOutcome {
  if (lost) return { kind: 'ended', why: 'the child was reaped by another part of this process' }
  if (code === exitCodes.waitedForThread)
    return { kind: 'stuck', why: 'the child waited for a thread that was not forked' }
  if (signal === undefined) return { kind: 'failed', why: `the child ended without a report: code ${code}` }
  if (signal === SIGALRM) return { kind: 'ended', why: LATE }
  if (signal === SIGSYS) return { kind: 'failed', why: 'the child made a system call that is forbidden here' }
  if (signal === SIGKILL)
    return { kind: 'hungry', why: 'the child was killed, as the kernel does when memory runs out' }
  if (mayStarve && BY_V8.has(signal))
    return { kind: 'hungry', why: `the child found no memory (signal ${signal})` }
  if (BY_V8.has(signal) || CRASHED.has(signal))
    return { kind: 'stuck', why: `the child ended by signal ${signal}` }
  return { kind: 'ended', why: `the child was ended by signal ${signal}` }
}
