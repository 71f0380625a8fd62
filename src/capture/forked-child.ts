import { Socket } from 'node:net'
import { constants } from 'node:os'
import { ChildWatch, type ChildVerdict } from '../core/child-watch'
import { readChildUsage } from '../sample/proc'
import type { ChildEnd, ForkHelper } from './fork-helper'
import type { ChildReport } from './fork-job'
import { monotonicMs } from '../time/clock'
import { clearInterval, pause, setInterval } from '../time/timers'

const LATE = 'the child was not done in time'

/** How often the guard looks at a running child, ms. */
export const GUARD_MS = 100
/** How often, and how long, a child that has closed its pipe is waited for, ms. */
const REAP_EVERY_MS = 20
const REAP_WITHIN_MS = 2000

export interface ChildToAwait {
  readonly pid: number
  /** Gives what the child says, and ends with it. It is closed here. */
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
 * How a child ended: with a report; copied at an unlucky moment, so that another fork may do better; for lack of memory; by
 * somebody else or for the time it took; or without having begun.
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
/** What V8 ends a process with that it cannot give memory to, and one that has met what cannot be. */
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
  const stopGuard = startGuard(forked, guard)
  const said = await readToEnd(child.resultDescriptor)
  const verdict = stopGuard()
  const end = await reap(forked)
  const report = parseReport(said)
  if (report) return { kind: 'reported', report }
  if (verdict) return judged(verdict)
  return explain(helper, end, guard.needBytes > guard.allowanceBytes)
}

/** What the guard ended a child for, and what was available then, bytes. */
interface Verdict {
  readonly endedFor: ChildVerdict
  readonly leftBytes: number
}

function startGuard(child: ChildProcess, guard: ChildGuard): () => Verdict | undefined {
  const { deadlineMs, reserveBytes, allowanceBytes } = guard
  const watch = new ChildWatch(monotonicMs(), deadlineMs, reserveBytes, allowanceBytes)
  let verdict: Verdict | undefined
  const timer = setInterval(() => {
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

/** The child by its number, which is a stranger's as soon as it has been reaped. */
class ChildProcess {
  readonly #helper: Pick<ForkHelper, 'wait'>
  readonly pid: number
  #end: ChildEnd | undefined

  constructor(helper: Pick<ForkHelper, 'wait'>, pid: number) {
    this.#helper = helper
    this.pid = pid
  }

  /** How it ended; `undefined` as long as it lives. */
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

/** A socket and not a file: reading a pipe as a file would hold a thread of libuv's pool until the child ends. */
function readToEnd(descriptor: number): Promise<string> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    const socket = new Socket({ fd: descriptor, readable: true, writable: false })
    socket.unref()
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.on('error', () => socket.destroy())
    socket.on('close', () => resolve(Buffer.concat(chunks).toString('utf8')))
  })
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

function parseReport(said: string): ChildReport | undefined {
  try {
    return said === '' ? undefined : (JSON.parse(said) as ChildReport)
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
 * @param mayStarve - The job may need more than the child was allowed. Where it cannot, V8 did not end it for want of memory. The
 * kernel may have all the same: others can have taken what was there at the fork.
 */
function explain(
  { exitCodes }: Pick<ForkHelper, 'exitCodes'>,
  { code, signal, lost }: ChildEnd,
  mayStarve: boolean,
): ChildOutcome {
  if (lost) return { kind: 'ended', why: 'somebody else waited for the child' }
  if (code === exitCodes.waitedForThread)
    return { kind: 'stuck', why: 'the child needed a thread that it had not' }
  if (signal === undefined) return { kind: 'failed', why: `the child ended without a report: code ${code}` }
  if (signal === SIGALRM) return { kind: 'ended', why: LATE }
  if (signal === SIGSYS) return { kind: 'failed', why: 'the child made a system call that is forbidden here' }
  if (signal === SIGKILL)
    return { kind: 'hungry', why: 'the child was killed, as the kernel does for want of memory' }
  if (mayStarve && BY_V8.has(signal))
    return { kind: 'hungry', why: `the child found no memory (signal ${signal})` }
  if (BY_V8.has(signal) || CRASHED.has(signal))
    return { kind: 'stuck', why: `the child ended by signal ${signal}` }
  return { kind: 'ended', why: `somebody ended the child by signal ${signal}` }
}
