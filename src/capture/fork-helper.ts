import { firstLineOf } from '../core/message-of'
import { createRequire } from 'node:module'
import path from 'node:path'

/** What the forked child is allowed. */
export interface ForkOptions {
  /**
   * Writable memory that the child may map beyond what it is born with, copies of shared memory included, bytes. At the limit
   * it ends by itself.
   */
  readonly dataAllowanceBytes: number
  /** After so long the kernel ends the child, whatever it does. Seconds, 1 to 86400. */
  readonly deadlineSeconds: number
  /** Added to the application's niceness, 0 to 19. */
  readonly niceness: number
  /** Whether the kernel, when memory runs out, shall kill the child before all others. */
  readonly firstForOomKiller: boolean
}

/** The child as its parent sees it. */
export interface Forked {
  readonly pid: number
  /**
   * A pipe's end for reading, the caller's to close. It gives what the job returned, and it ends when the child ends,
   * however it ends.
   */
  readonly resultDescriptor: number
  /** How long the calling thread stood still, ms. */
  readonly pauseMs: number
  /** How long of that in the fork itself, ms. The rest went to what has to be known before it and put back after it. */
  readonly forkMs: number
}

/** How a child ended: by itself, by a signal, or out of sight, because somebody else waited for it. */
export type ChildEnd =
  | { readonly code: number; readonly signal?: never; readonly lost?: never }
  | { readonly signal: number; readonly code?: never; readonly lost?: never }
  | { readonly lost: true; readonly code?: never; readonly signal?: never }

/**
 * What is done when V8's heap limit is reached, decided beforehand: see `src/native/heap-limit.h`. Texts are limited to 512 bytes
 * (`refusal`), 4096 (`directory`) and 16 KiB (`facts`), less one.
 */
export interface HeapLimitPlan {
  readonly options: ForkOptions
  /** How long the process may be held before V8 ends it, ms. */
  readonly holdMs: number
  /** Hold until the child has ended, instead of until it is past its first collection. */
  readonly holdsToEnd: boolean
  /** Whether the line is written to stderr. */
  readonly writesLine: boolean
  readonly hasProfile: boolean
  readonly hasSnapshot: boolean
  /** Why nothing is dumped; empty when a dump is allowed. */
  readonly refusal: string
  readonly directory: string
  /** For the job, which understands it. */
  readonly facts: string
}

/** What the heap limit's job is given in the child. */
export interface HeapLimitChild {
  readonly facts: string
  /** V8's limit, bytes. */
  readonly limitBytes: number
  /** Wall clock when the limit was reached, ms. */
  readonly reachedAtMs: number
  /** Wall clock at the fork, whole ms: the name of the files has it. */
  readonly startedAtMs: number
  /** Which fork this is, from 1. */
  readonly fork: number
  /** For how long the application stood still, ms. */
  pauseMs(): number
  /** Reports that the first collection is over: from then on no other fork will be needed. */
  pastCollection(): void
}

/** What the native part does at V8's heap limit. */
export interface HeapLimitHelper {
  /**
   * From now on, when V8 is about to end the process because its heap has reached its limit, the process is forked, and the child
   * calls `job`, which says whether it has written something. The process dies as it would have. Needs a plan.
   *
   * @throws A `TypeError` when the job is no function, an `Error` on another thread than the main one, when it is armed already, or
   * where this Node does not export what is needed.
   */
  armHeapLimit(job: (child: HeapLimitChild) => boolean): void
  /**
   * Renews the plan. From any thread.
   *
   * @returns The pid of a child that has ended while this process lived on, if there is one.
   * @throws A `TypeError` when it is no plan or a text in it is too long; the earlier one stays.
   */
  prepareHeapLimit(plan: HeapLimitPlan): number | undefined
  /** On the main thread. Idempotent. */
  disarmHeapLimit(): void
}

/** The native part, in C: see `src/native/fork-helper.h`. */
export interface ForkHelper extends Partial<HeapLimitHelper> {
  /**
   * Notes which memory V8 keeps out of forks, so that the next fork need not. Takes as long as the fork itself: call it
   * shortly before, from another thread than the main one. Without it `fork` does it by itself.
   *
   * @throws An `Error` with `errno` when /proc cannot be read.
   */
  survey(): void
  /**
   * Forks the process, heap and all. In the child it calls `job`, sends the string that it returns through the pipe, and
   * ends the process with code 0; it never returns there. In the parent it returns at once.
   *
   * The job runs alone: no other thread, no event loop, no descriptor of the application's, standard ones included. It may
   * use what is synchronous. What it returns may be 4096 bytes long. A garbage collection in it runs the destructors of native
   * objects that the application has forgotten: they find their files closed, and copies of memory that was shared.
   *
   * @param job - Is given a function that says how long the application stood still, ms.
   *
   * @throws A `TypeError` for wrong arguments or on another thread than the main one, an `Error` with `errno` when the
   * system refuses. Then there is no child.
   */
  fork(options: ForkOptions, job: (pauseMs: () => number) => string): Forked
  /** Reaps the child if it has ended, else returns `undefined`. Never waits. From any thread, also after the end. */
  wait(pid: number): ChildEnd | undefined
  /** Exit codes of a child that did not finish. */
  readonly exitCodes: {
    /** The job threw or returned too much. */
    readonly jobFailed: number
    /** It could not be cut off from the application, and ended before it began. */
    readonly notDetached: number
    /** It needed a thread that a fork does not copy. Another fork may well succeed. */
    readonly waitedForThread: number
  }
}

/** The package's own directory, seen from `dist/capture`: prebuilds/ lies in it. */
const PACKAGE_DIRECTORY = path.join(__dirname, '..', '..')

/**
 * Loads the native helper, the first time from disk. A machine without it is nothing unusual (another system or processor,
 * addons forbidden by `--permission` or `--no-addons`), so the reason comes back as a value, in words for the log.
 */
export function loadForkHelper(): { readonly helper: ForkHelper } | { readonly unavailable: string } {
  if (process.platform !== 'linux')
    return { unavailable: `forking a heap needs Linux, this is ${process.platform}` }
  try {
    // Not at the top of the file: it looks for files of the system as it is loaded, which --permission may refuse.
    const nodeGypBuild = createRequire(__filename)('node-gyp-build') as (directory: string) => unknown
    return { helper: nodeGypBuild(PACKAGE_DIRECTORY) as ForkHelper }
  } catch (error) {
    return { unavailable: firstLineOf(error) }
  }
}
