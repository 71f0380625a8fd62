import { closeSync, existsSync, openSync, readlinkSync, readSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, join } from 'node:path'
import { firstLineOf } from '../../../base/globals'
import { ownPackageDirectory } from '../../own-package'

/** Limits of the forked child. */
export interface ForkOptions {
  /**
   * Writable memory that the child may map beyond what it has at the fork, bytes; copies of shared memory count. At the
   * limit it ends by itself.
   */
  readonly dataAllowanceBytes: number
  /** The kernel ends the child after this time. Seconds, 1 to 86400. */
  readonly deadlineSeconds: number
  /** Added to the application's niceness, 0 to 19. */
  readonly niceness: number
  /** Whether the kernel kills the child before all other processes when memory runs out. */
  readonly firstForOomKiller: boolean
  /** Number of a signal that the child ignores, as it ignores SIGHUP; 0 for none. */
  readonly ignoredSignal: number
}

/** A forked child, seen from its parent. */
export interface Forked {
  readonly pid: number
  /**
   * The read end of a pipe, to be closed by the caller. It carries the result of the job, and ends when the child ends
   * for any reason.
   */
  readonly resultDescriptor: number
  /** Time for which the calling thread was blocked, ms. */
  readonly pauseMs: number
}

/** How a child ended: by itself, by a signal, or unknown, because another waitpid() reaped it. */
export type ChildEnd =
  | { readonly code: number; readonly signal?: never; readonly lost?: never }
  | { readonly signal: number; readonly code?: never; readonly lost?: never }
  | { readonly lost: true; readonly code?: never; readonly signal?: never }

/**
 * What to do when V8's heap limit is reached, decided beforehand: see `src/native/heap-limit.h`. Most bytes of the
 * texts: 511 (`refusal`), 4095 (`directory`), 16 KiB less one (`facts`).
 */
export interface HeapLimitPlan {
  /** Number of the arming that the plan is for, from `armHeapLimit`. Any other plan is ignored. */
  readonly arming: number
  readonly options: ForkOptions
  /** Longest time that the process is held before V8 ends it, ms. In the first plan: until the next plan. */
  readonly holdMs: number
  /** Whether the process is held until the child has ended, instead of until the child is past its first collection. */
  readonly holdsToEnd: boolean
  /** Whether a log line is written to stderr. */
  readonly writesLine: boolean
  readonly hasProfile: boolean
  readonly hasSnapshot: boolean
  /** Why nothing is dumped; empty when a dump is allowed. */
  readonly refusal: string
  readonly directory: string
  /** JSON for the job; the native part does not read it. */
  readonly facts: string
}

/** Input of the job that the child runs at the heap limit. */
export interface HeapLimitChild {
  readonly facts: string
  /** Heap limit of V8, bytes. */
  readonly limitBytes: number
  /** Wall clock when the limit was reached, ms. */
  readonly reachedAtMs: number
  /** Wall clock at the fork, whole ms: the name of the files has it. */
  readonly startedAtMs: number
  /** Number of this fork at the heap limit, from 1. */
  readonly fork: number
  /** Time for which the application stood still, ms. */
  pauseMs(): number
  /** Reports to the process, while that is held. Does nothing once it has ended. */
  report(what: HeapLimitReport): void
}

/**
 * `collected`: the first collection is over, from then on no other fork is needed. `profile`, `snapshot`: the file has
 * its final name. `spent`: the budget has been spent since the plan was made, and the child ends without a file.
 */
export type HeapLimitReport = 'collected' | 'profile' | 'snapshot' | 'spent'

/** What the native part does at V8's heap limit. */
export interface HeapLimitHelper {
  /**
   * Arms the helper: when V8 is about to end the process because its heap has reached its limit, the process is forked,
   * and the child calls `job`, which returns whether it has written something. The process then dies as it would have.
   * Needs a plan.
   *
   * @returns The number of this arming, for its plans.
   * @throws A `TypeError` when the job is no function, an `Error` outside of the main thread, when armed already, or
   * where this Node does not export what is needed.
   */
  armHeapLimit(job: (child: HeapLimitChild) => boolean): number
  /**
   * Replaces the plan. From any thread.
   *
   * @returns The pid of a child that has ended while this process lived on, if there is one.
   * @throws A `TypeError` when it is no plan or a text in it is too long; the earlier plan stays.
   */
  prepareHeapLimit(plan: HeapLimitPlan): number | undefined
  /** On the main thread. Idempotent. */
  disarmHeapLimit(): void
}

/** CPU time of garbage collections, counted by the native part. */
export interface GcTimeHelper {
  /**
   * Begins to count the CPU time that the main thread spends in garbage collections. On the main thread. Each call
   * needs an `unwatchGc`.
   *
   * @returns `false` where this Node does not export what is needed.
   */
  watchGc(): boolean
  /** Ends a count that `watchGc` began. On the main thread. */
  unwatchGc(): void
  /** The time so far, ms, a collection under way included; NaN before the first `watchGc`. From any thread. */
  gcTimeMs(): number
}

/** A socket of the native part. It is closed at the latest when its thread ends. */
export interface HeldSocket {
  readonly isHeldSocket?: never
}

/**
 * Abstract Unix sockets, by which processes take turns. None of the calls blocks. From any thread. A name has 1 to 107 bytes,
 * without the zero byte before it.
 */
export interface SocketHelper {
  /**
   * Takes the name, and listens there. Connections are left to wait.
   *
   * @returns `undefined` when another socket has the name.
   * @throws An `Error` with `errno` where there can be no such socket.
   */
  listenAt(name: string): HeldSocket | undefined
  /**
   * @returns `undefined` when no socket with that name listens, or too many connections wait there.
   * @throws An `Error` with `errno` where there can be no such socket.
   */
  connectTo(name: string): HeldSocket | undefined
  /** Whether the socket to which a connection leads is still open. */
  isConnected(socket: HeldSocket): boolean
  /** The effective user of the process to whose socket a connection leads, at the time when it began to listen. */
  peerUid(socket: HeldSocket): number
  /** Idempotent. */
  closeSocket(socket: HeldSocket): void
}

/** The native part, in C: see `src/native/fork-helper.h`. */
export interface ForkHelper extends Partial<HeapLimitHelper>, Partial<GcTimeHelper>, Partial<SocketHelper> {
  /**
   * Finds the memory that V8 keeps out of forks, so that the next `fork` need not. Takes as long as the fork itself:
   * call it shortly before, on a thread other than the main one. Without it `fork` does this itself.
   *
   * @throws An `Error` with `errno` when /proc cannot be read.
   */
  survey(): void
  /**
   * Forks the process with its heap. In the child it calls `job`, sends the returned string through the pipe, and ends
   * the process with code 0; it never returns there. In the parent it returns at once.
   *
   * The job runs alone: no other thread, no event loop, none of the application's descriptors, standard ones included.
   * It may call only what is synchronous, and return at most 4096 bytes. A garbage collection in it runs the
   * destructors of native objects that the application no longer references: their files are closed, and their shared
   * memory is a copy.
   *
   * @param job - Its argument returns the time for which the application was blocked, ms.
   *
   * @throws A `TypeError` for wrong arguments, outside of the main thread and in a forked child, an `Error` with `errno`
   * when the system refuses. Then there is no child.
   */
  fork(options: ForkOptions, job: (pauseMs: () => number) => string): Forked
  /** Whether this process is a forked child, which must carry out no order that was meant for the application. */
  isForkedChild?(): boolean
  /** Reaps the child if it has ended, else returns `undefined`. Never blocks. From any thread, also after the end. */
  wait(pid: number): ChildEnd | undefined
  /**
   * Tries how many threads this process can start at a time: starts and ends them. About 25 µs each.
   *
   * @param wanted - 1 to 2048.
   * @returns At most `wanted`.
   */
  threadsAvailable(wanted: number): number
  /** Exit codes of a child that did not finish. */
  readonly exitCodes: {
    /** The job threw, or returned too many bytes. */
    readonly jobFailed: number
    /** The child could not be separated from the application, and ended before the job began. */
    readonly notDetached: number
    /** The child needed a thread that fork(2) does not copy. Another fork may succeed. */
    readonly waitedForThread: number
  }
}

type LoadedHelper = { readonly helper: ForkHelper } | { readonly unavailable: string }

let loaded: LoadedHelper | undefined

/**
 * Loads the native helper; later calls return the first result. Machines without it are common (another system or processor,
 * addons forbidden by `--permission` or `--no-addons`), so the reason is returned as a value, as text for the log.
 */
export function loadForkHelper(): LoadedHelper {
  loaded ??= load()
  return loaded
}

/** Loads one full path: neither environment, working directory nor parent directories can lead to another file. */
function load(): LoadedHelper {
  const { platform, arch } = process
  if (platform !== 'linux') return { unavailable: `forking a heap needs Linux, this is ${platform}` }
  try {
    const directory = join(ownPackageDirectory(), 'prebuilds', `linux-${arch}`)
    if (!existsSync(directory))
      return { unavailable: `no fork helper for ${arch}: ${directory} does not exist` }
    const file = join(directory, `fork-helper.napi.${readLibc()}.node`)
    if (!existsSync(file)) return { unavailable: `no fork helper for this C library: ${file} does not exist` }
    return { helper: createRequire(file)(file) as ForkHelper }
  } catch (error) {
    return { unavailable: firstLineOf(error) }
  }
}

/** Program header that holds the path of the loader. */
const PT_INTERP = 3

/**
 * Finds the C library of a Linux executable, by default of this Node, from the loader that the executable asks for.
 * `process.report` shows the C library too, but waits for every worker thread: seconds, if one is in a long native
 * call.
 *
 * @throws The file system's error, for example where `--permission` does not allow the file to be read.
 */
export function readLibc(executable = '/proc/self/exe'): 'glibc' | 'musl' {
  // In `ld-linux.so.2 node` the executable of the process is the loader itself, which asks for none.
  const loader = readInterpreter(executable) ?? readlinkSync(executable)
  return basename(loader).includes('musl') ? 'musl' : 'glibc'
}

/** Reads the loader's path from an ELF file of 64 bit, little endian, as on all processors with a prebuilt helper. */
function readInterpreter(file: string): string | undefined {
  const descriptor = openSync(file, 'r')
  const read = (position: number, length: number): Buffer => {
    const bytes = Buffer.alloc(length)
    readSync(descriptor, bytes, 0, length, position)
    return bytes
  }
  try {
    const header = read(0, 64)
    const [entrySize, entries] = [header.readUInt16LE(54), header.readUInt16LE(56)]
    const table = read(Number(header.readBigUInt64LE(32)), entrySize * entries)
    for (let at = 0; at < table.length; at += entrySize) {
      if (table.readUInt32LE(at) !== PT_INTERP) continue
      const [offset, length] = [table.readBigUInt64LE(at + 8), table.readBigUInt64LE(at + 32)]
      // The last byte is the terminating zero.
      return read(Number(offset), Number(length) - 1).toString('latin1')
    }
    return undefined
  } finally {
    closeSync(descriptor)
  }
}
