import { closeSync, existsSync, openSync, readlinkSync, readSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, join } from 'node:path'
import { firstLineOf } from '../../../base/globals'
import { ownPackageDirectory } from '../../own-package'

/** Name of the method in which a forked child writes the snapshot, in a dump's `.json` and in the log line at start. */
export const FORK_WAY = 'fork'

/** Limits of the forked child. */
export interface ForkOptions {
  /**
   * Writable memory that the child may map beyond what it has at the fork, bytes. The copies that it makes of shared mappings
   * count too; pages that the kernel copies on a write do not. A child that reaches the limit ends itself.
   */
  readonly dataAllowanceBytes: number
  /** Time after which the kernel ends the child, seconds, 1 to 86400. */
  readonly deadlineSeconds: number
  /** Niceness of the child, added to the application's, 0 to 19. */
  readonly niceness: number
  /** Whether the kernel kills the child first when memory runs out. If not, it treats the child like the application. */
  readonly firstForOomKiller: boolean
  /** Number of a signal that the child ignores, besides SIGHUP; 0 for none. */
  readonly ignoredSignal: number
}

/** A forked child, seen from its parent. */
export interface Forked {
  readonly pid: number
  /**
   * Read end of a pipe that carries the result of the job, and closes when the child ends for any reason. The caller
   * closes this descriptor.
   */
  readonly resultDescriptor: number
  /** Time for which the calling thread was blocked, ms. */
  readonly pauseMs: number
}

/** How a child ended: with an exit code, by a signal, or (`lost`) in an unknown way, mostly because other code has reaped it. */
export type ChildEnd =
  | { readonly code: number; readonly signal?: never; readonly lost?: never }
  | { readonly signal: number; readonly code?: never; readonly lost?: never }
  | { readonly lost: true; readonly code?: never; readonly signal?: never }

/**
 * Instructions for the native helper when V8's heap limit is reached. They are given beforehand, because no JavaScript can run
 * then. Longest texts, bytes: 511 (`refusal`), 4095 (`directory`), 16 KiB less one (`facts`).
 */
export interface HeapLimitPlan {
  /** The number that `armHeapLimit` returned. A plan with another number is ignored. */
  readonly arming: number
  readonly options: ForkOptions
  /** Longest time that the process waits at its heap limit for its child, ms. */
  readonly holdMs: number
  /** `true`: the process waits until the child has ended. `false`: only until the child has completed its first full GC. */
  readonly holdsToEnd: boolean
  /** Whether the native helper writes a log line about the dump, or about its refusal, to stderr. */
  readonly writesLine: boolean
  readonly hasProfile: boolean
  readonly hasSnapshot: boolean
  /** Why nothing is dumped; empty when a dump is allowed. */
  readonly refusal: string
  readonly directory: string
  /** JSON for the code in the child; the native helper does not read it. */
  readonly facts: string
}

/** Input of the code that runs in a child forked at V8's heap limit. */
export interface HeapLimitChild {
  readonly facts: string
  /** Heap limit of V8, bytes. */
  readonly limitBytes: number
  /** Wall clock when the limit was reached, ms since 1970. */
  readonly reachedAtMs: number
  /** Wall clock at the fork, whole ms since 1970: part of the file names. */
  readonly startedAtMs: number
  /** Number of this fork, from 1: after a child that got stuck, the process is forked again. */
  readonly fork: number
  /** Returns the time for which the application was blocked by the fork, ms. */
  pauseMs(): number
  /** Reports progress to the parent, which waits at its heap limit. Does nothing once the parent has ended. */
  report(what: HeapLimitReport): void
}

/**
 * Progress of the child at the heap limit. `collected`: the child has completed its first full GC, and so will not need
 * another fork. `profile`, `snapshot`: the file is complete. `spent`: other processes have used up the budget of dumps
 * since the plan was made, and the child ends without a file. `unopened`: the last file of the dump could not be created.
 */
export type HeapLimitReport = 'collected' | 'profile' | 'snapshot' | 'spent' | 'unopened'

/** The functions of the native helper for V8's heap limit. */
export interface HeapLimitHelper {
  /**
   * Installs V8's near-heap-limit callback. When the heap reaches its limit, the callback forks the process, and the child
   * calls `job`, which returns whether it has written a file. The callback waits for the child, up to `holdMs` of the plan. V8
   * then usually ends the process. Without a plan from `prepareHeapLimit` the callback does nothing.
   *
   * @returns The number that the plans for this callback must have.
   * @throws A `TypeError` when `job` is not a function; an `Error` outside of the main thread, when a callback is
   * installed already, or when this Node does not export the functions needed.
   */
  armHeapLimit(job: (child: HeapLimitChild) => boolean): number
  /**
   * Sets or replaces the plan for the heap limit. May be called on any thread. If this process survived the limit, also reaps the
   * child that was forked there, if it has ended.
   *
   * @returns The pid of the reaped child; `undefined` if there is none.
   * @throws A `TypeError` when the argument is not a plan, or a text in it is too long; the earlier plan stays.
   */
  prepareHeapLimit(plan: HeapLimitPlan): number | undefined
  /** Removes the callback. Must be called on the main thread. Idempotent. */
  disarmHeapLimit(): void
}

/** The functions of the native helper that count the CPU time of garbage collections. */
export interface GcTimeHelper {
  /**
   * Starts counting the CPU time that the main thread spends in garbage collections. Must be called on the main thread.
   * Each call needs an `unwatchGc`.
   *
   * @returns `false` when this Node does not export the functions needed.
   */
  watchGc(): boolean
  /** Undoes one `watchGc`. Must be called on the main thread. */
  unwatchGc(): void
  /**
   * Returns the main thread's CPU time in collections so far, ms, a running one included; NaN before `watchGc`. Any thread may
   * call it.
   */
  gcTimeMs(): number
}

/** A Unix socket that the native helper holds. It is closed when the thread that opened it ends, at the latest. */
export interface HeldSocket {
  readonly isHeldSocket?: never
}

/**
 * Functions for abstract Unix sockets, with which processes take turns at heap snapshots. No function blocks, and any
 * thread may call them. A name has 1 to 107 bytes, without the leading zero byte.
 */
export interface SocketHelper {
  /**
   * Opens a socket that listens at the name. Connections are never accepted.
   *
   * @returns `undefined` when another socket has the name.
   * @throws An `Error` with `errno` when such a socket cannot be made.
   */
  listenAt(name: string): HeldSocket | undefined
  /**
   * Connects to the socket that listens at the name.
   *
   * @returns `undefined` when no socket of that name listens, or its queue of connections is full.
   * @throws An `Error` with `errno` when such a socket cannot be made.
   */
  connectTo(name: string): HeldSocket | undefined
  /** Whether the listening socket at the other end of a connection is still open. */
  isConnected(socket: HeldSocket): boolean
  /** Returns the pid and the effective user id that the process at the other end had when it called listen(2). */
  peerOf(socket: HeldSocket): { readonly pid: number; readonly uid: number }
  /** Closes the socket. Does nothing if it is closed already. */
  closeSocket(socket: HeldSocket): void
}

/** The native helper: an addon in C that forks this process, so that the child can write a heap snapshot. */
export interface ForkHelper extends Partial<HeapLimitHelper>, Partial<GcTimeHelper>, Partial<SocketHelper> {
  /**
   * Lists the memory that V8 excludes from forks. The next `fork` takes this list, and so does not have to make one while the
   * main thread is blocked. Making it takes as long as the fork itself: if possible, call this on another thread than the main
   * thread. Call it shortly before `fork`: memory that V8 maps in between is not listed, and makes later forks of the process
   * slower.
   *
   * @throws An `Error` with `errno` when /proc cannot be read, or does not show which memory is excluded.
   */
  survey(): void
  /**
   * Forks the process with its heap. In the child, this function calls `job`, sends the returned string through a pipe,
   * and ends the process with code 0; it never returns. In the parent it returns at once.
   *
   * In the child there is no other thread, no event loop, and none of the application's file descriptors, stdout and
   * stderr included. `job` may only make synchronous calls, and return at most 4096 bytes. A GC in the child runs the
   * destructors of native objects that the application no longer references. They cannot harm the application: the child
   * has none of the application's files open, and only copies of its shared memory.
   *
   * @param job - Runs in the child. Its argument returns the time for which the application was blocked, ms.
   *
   * @throws A `TypeError` for wrong arguments, outside of the main thread, and in a forked child; an `Error` with `errno`
   * when the system refuses to fork. There is no child then.
   */
  fork(options: ForkOptions, job: (pauseMs: () => number) => string): Forked
  /** Whether this process is a forked child, which must not carry out requests that were sent to the application. */
  isForkedChild?(): boolean
  /**
   * If the child has ended, reaps it and returns how it ended, else returns `undefined`. Never blocks. Any thread may call it.
   */
  wait(pid: number): ChildEnd | undefined
  /**
   * Returns how many further threads this process can start. Finds out by starting and ending them, about 25 µs per thread.
   *
   * @param wanted - Number of threads to try, 1 to 2048.
   * @returns Number of threads that could be started, at most `wanted`.
   */
  threadsAvailable(wanted: number): number
  /** Exit codes of a child that did not finish. */
  readonly exitCodes: {
    /** `job` threw, or returned too many bytes. */
    readonly jobFailed: number
    /** The child could not be separated from the application (from its file descriptors, say), and ended before `job`. */
    readonly notDetached: number
    /** The child needed a thread that fork(2) does not copy. Another fork may succeed. */
    readonly waitedForThread: number
  }
}

type LoadedHelper = { readonly helper: ForkHelper } | { readonly unavailable: string }

let loaded: LoadedHelper | undefined

/**
 * Loads the native helper; later calls return the first result. If the helper does not load, returns the reason as text for
 * the log and does not throw, because a failure is common (another system or processor, addons forbidden by `--permission`
 * or `--no-addons`).
 */
export function loadForkHelper(): LoadedHelper {
  loaded ??= load()
  return loaded
}

/** Loads the helper by its full path, so that no environment variable and no other directory can lead to another file. */
function load(): LoadedHelper {
  const { platform, arch } = process
  if (platform !== 'linux')
    return { unavailable: `a snapshot by a forked child needs Linux, but this is ${platform}` }
  try {
    const directory = join(ownPackageDirectory(), 'prebuilds', `linux-${arch}`)
    if (!existsSync(directory))
      return { unavailable: `no fork helper for the processor ${arch}: ${directory} does not exist` }
    const file = join(directory, `fork-helper.napi.${readLibc()}.node`)
    if (!existsSync(file))
      return { unavailable: `no fork helper for the C library ${readLibc()}: ${file} does not exist` }
    return { helper: createRequire(file)(file) as ForkHelper }
  } catch (error) {
    return { unavailable: firstLineOf(error) }
  }
}

/** Type of the ELF program header that holds the path of the dynamic loader. */
const PT_INTERP = 3

/**
 * Returns the C library of a Linux executable, by default of this Node, from the name of its dynamic loader.
 * `process.report` shows the C library too, but waits for every worker thread: for seconds, if one is in a long native
 * call.
 *
 * @throws The file system's error, for example where `--permission` does not allow the file to be read.
 */
export function readLibc(executable = '/proc/self/exe'): 'glibc' | 'musl' {
  // With the command `ld-linux.so.2 node`, the executable of the process is the loader itself, which names no loader.
  const loader = readInterpreter(executable) ?? readlinkSync(executable)
  return basename(loader).includes('musl') ? 'musl' : 'glibc'
}

/** Reads the loader's path from a 64-bit little-endian ELF file: all processors with a prebuilt helper use that format. */
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
      // Leave out the last byte, the zero that terminates the path.
      return read(Number(offset), Number(length) - 1).toString('latin1')
    }
    return undefined
  } finally {
    closeSync(descriptor)
  }
}
