import { readlinkSync, statSync } from 'node:fs'
import { createServer, Server } from 'node:net'
import { hasDescriptor } from '../base/descriptors'
import { Promise } from '../base/globals'
import { monotonicMs, pause } from '../base/time'
import { limitedGroups, readTotalMemory } from './limits'
import { type ReadKernelFile, readKernelFile } from './proc'

/** Interval at which a process that waits for its turn tries again, ms. */
const LOOK_MS = 100

/** Ends a turn, so that the next process can take it. */
export type EndTurn = () => void

export interface TurnTerms {
  /** Longest wait for other processes under the same memory limit, ms. */
  readonly longestMs: number
  /** Ends the wait early when it is aborted. */
  readonly early: AbortSignal
  /** Name of the socket that represents the turn; absent where processes share no memory limit. */
  readonly name?: string | undefined
}

/**
 * Waits for this process's turn: of the processes under one memory limit, one at a time takes a heap snapshot. A turn
 * is an abstract Unix socket that listens: the kernel gives its name to one process, and frees it when that process
 * ends in any way.
 *
 * Any user can occupy such a name. A socket that is held by no process of this user is ignored.
 *
 * @returns `undefined` when another process had the turn for all of `longestMs`. Otherwise a function that ends the
 * turn; also when the wait was ended early or there is nothing to wait for.
 */
export async function takeTurn({
  longestMs,
  early,
  name = turnName(),
}: TurnTerms): Promise<EndTurn | undefined> {
  if (name === undefined) return nothing
  const until = monotonicMs() + longestMs
  const holders = new Holders(name)
  for (;;) {
    const occupied = await occupy(name)
    if (occupied !== 'taken') return occupied
    if (early.aborted || holders.isStranger()) return nothing
    if (monotonicMs() >= until) return undefined
    await pause(LOOK_MS, early)
  }
}

/** Names the socket after the outermost cgroup with a memory limit: it contains all processes that share a limit. */
export function turnName(read: ReadKernelFile = readKernelFile): string | undefined {
  const group = limitedGroups(read, readTotalMemory(read)).at(-1)
  if (process.platform !== 'linux' || !group) return undefined
  try {
    // Device and inode are the same through every mount of the hierarchy.
    const { dev, ino } = statSync(group.directory)
    return `\0cpu-memory-monitor/${process.geteuid?.()}/${dev}:${ino}`
  } catch {
    return undefined
  }
}

/** `listen` as it was when this module was loaded: a cluster worker replaces it to track the application's servers. */
// eslint-disable-next-line @typescript-eslint/unbound-method -- called with the server as `this` below
const { listen } = Server.prototype

function occupy(name: string): Promise<EndTurn | 'taken'> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', ({ code }: NodeJS.ErrnoException) =>
      // Where no such socket can be created, as with --permission, processes do not take turns.
      resolve(code === 'EADDRINUSE' ? 'taken' : nothing),
    )
    server.once('listening', () => {
      server.unref()
      resolve(() => server.close())
    })
    try {
      // Exclusive: otherwise a cluster worker would ask its primary to listen.
      listen.call(server, { path: name, exclusive: true })
      server.unref()
    } catch {
      resolve(nothing)
    }
  })
}

const nothing: EndTurn = () => undefined

/** Judges whether a process of this user holds a name, once per holder: it reads the descriptors of all of them. */
class Holders {
  #known: string | undefined
  #suspect: string | undefined
  #doubts = 0

  constructor(private readonly name: string) {}

  /**
   * Whether no holder is among this user's processes, by two checks of one holder or three of several in a row: a process of this
   * user may have ended just before a check, and another user may take the name anew between two.
   */
  isStranger(): boolean {
    const inode = inodeOf(this.name)
    if (inode === undefined || inode === this.#known) return false
    const isOwn = hasDescriptor((path) => readlinkSync(path) === `socket:[${inode}]`)
    if (isOwn) {
      this.#known = inode
      this.#doubts = 0
      return false
    }
    this.#doubts += inode === this.#suspect ? 2 : 1
    this.#suspect = inode
    return this.#doubts >= 3
  }
}

/** A line of `/proc/net/unix` ends with inode and name; the name's first character and padding are shown as `@`. */
function inodeOf(name: string): string | undefined {
  const shown = `@${name.slice(1)}`
  for (const line of (readKernelFile('/proc/net/unix') ?? '').split('\n')) {
    const [inode, path] = line.split(' ').slice(-2)
    if (path?.replace(/@+$/, '') === shown) return inode
  }
  return undefined
}
