import { readlinkSync, statSync } from 'node:fs'
import { createServer, Server } from 'node:net'
import { hasDescriptor } from '../base/descriptors'
import { Promise } from '../base/globals'
import { monotonicMs, pause } from '../base/time'
import { limitedGroups, readTotalMemory } from './limits'
import { type ReadKernelFile, readKernelFile } from './proc'

/** How often a process that waits for its turn looks again, ms. */
const LOOK_MS = 100

/** Ends a turn, so that the next process has it. */
export type EndTurn = () => void

export interface TurnTerms {
  /** For how long a process waits for its neighbours, ms. */
  readonly longestMs: number
  /** Ends the waiting before its time. */
  readonly early: AbortSignal
  /** The name that stands for the turn; absent where processes share no limit. */
  readonly name?: string | undefined
}

/**
 * Waits until no other process under the same memory limit has its turn. A turn is an abstract Unix socket that listens: the
 * kernel gives its name to one process, and takes it back when that process ends in whatever way.
 *
 * Any user can occupy such a name. One that is not held by a process of this user is no turn, and stops nothing.
 *
 * @returns `undefined` when a neighbour had the turn until the end of the time. When the waiting ends early, or there is
 * nothing to wait for, the caller may go on.
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

/** @returns The name for the widest cgroup that limits this process's memory: all that share one of its limits are in it. */
export function turnName(read: ReadKernelFile = readKernelFile): string | undefined {
  const group = limitedGroups(read, readTotalMemory(read)).at(-1)
  if (process.platform !== 'linux' || !group) return undefined
  try {
    // The same from every mount of the hierarchy.
    const { dev, ino } = statSync(group.directory)
    return `\0cpu-memory-monitor/${process.geteuid?.()}/${dev}:${ino}`
  } catch {
    return undefined
  }
}

/** As it was when this module was loaded: a cluster's worker watches the servers of the application, and this is none. */
// eslint-disable-next-line @typescript-eslint/unbound-method -- called with the server as `this` below
const { listen } = Server.prototype

function occupy(name: string): Promise<EndTurn | 'taken'> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', ({ code }: NodeJS.ErrnoException) =>
      // Where no such socket can be made, as with --permission, processes do not take turns.
      resolve(code === 'EADDRINUSE' ? 'taken' : nothing),
    )
    server.once('listening', () => {
      server.unref()
      resolve(() => server.close())
    })
    try {
      // Exclusive: without it a cluster's worker would ask its primary to listen.
      listen.call(server, { path: name, exclusive: true })
      server.unref()
    } catch {
      resolve(nothing)
    }
  })
}

const nothing: EndTurn = () => undefined

/** Judges who holds a name, each holder once: it takes a look at the descriptors of all processes of this user. */
class Holders {
  #known: string | undefined
  #suspect: string | undefined

  constructor(private readonly name: string) {}

  /** A holder that was not found twice; at the first time it may have ended in between. */
  isStranger(): boolean {
    const inode = inodeOf(this.name)
    if (inode === undefined || inode === this.#known) return false
    const isOwn = hasDescriptor((path) => readlinkSync(path) === `socket:[${inode}]`)
    if (isOwn) this.#known = inode
    else if (inode === this.#suspect) return true
    else this.#suspect = inode
    return false
  }
}

/** Each line of the table ends with the inode and the name, of which the first character and a padding are shown as `@`. */
function inodeOf(name: string): string | undefined {
  const shown = `@${name.slice(1)}`
  for (const line of (readKernelFile('/proc/net/unix') ?? '').split('\n')) {
    const [inode, path] = line.split(' ').slice(-2)
    if (path?.replace(/@+$/, '') === shown) return inode
  }
  return undefined
}
