import { closeSync, openSync, readlinkSync, readSync, statSync } from 'node:fs'
import { createServer, Server } from 'node:net'
import { hasDescriptor } from '../base/descriptors'
import { Promise } from '../base/globals'
import { monotonicMs, pause } from '../base/time'
import { limitedGroups, readTotalMemory } from './limits'
import { type ReadKernelFile, readKernelFile } from './proc'

/** Interval at which a waiting process looks again whether its turn to take a heap snapshot has come, ms. */
const LOOK_MS = 100
/**
 * Number of looks at which a process leaves a free turn to processes that have waited longer. They normally take it at their next
 * look. A process that is stopped, or another user, may occupy a place in the queue, and can delay a dump only this long.
 */
const MOST_DEFERRALS = 10
/** Looks that find the name taken but no listening socket, until it is ignored. A new socket listens one look later. */
const MOST_UNSEEN = 10
/** Most bytes of `/proc/net/unix` that are read at once: any user can make the list longer, and 30 MiB take two seconds. */
const MOST_LIST_BYTES = 1024 * 1024

/** Closes the socket that stands for this process's turn, so that the next waiting process can go on. */
export type EndTurn = () => void

export interface TurnTerms {
  /** Longest wait for the turns of other processes, ms. */
  readonly longestMs: number
  /** Aborting this signal ends the wait early. */
  readonly early: AbortSignal
  /** Name of the abstract Unix socket that stands for the turn. By default it names the cgroup whose memory limit is shared. */
  readonly name?: string | undefined
}

/**
 * Waits until this process may take a heap snapshot: of the processes under one memory limit, one at a time does (its turn). The
 * turn is a listening abstract Unix socket: the kernel gives the socket's name to one process, and frees it when that process
 * ends in any way. Each waiting process has such a socket too, whose name ends with the start of its wait; the oldest is next.
 *
 * Other users can occupy these names, and can write false lines into `/proc/net/unix`, where holders are looked up, by a line
 * break in a socket's name. So only binding a name proves that it is free. A turn is ignored if no process of this user holds it,
 * or if the list does not show exactly one listening holder.
 *
 * @returns A function that ends the turn, also when the wait was ended early or there is nothing to wait for. `undefined`
 * when another process had the turn for all of `longestMs`.
 */
export async function takeTurn({
  longestMs,
  early,
  name = turnName(),
}: TurnTerms): Promise<EndTurn | undefined> {
  if (name === undefined) return nothing
  const until = monotonicMs() + longestMs
  const holders = new Holders()
  let place: Place | undefined
  let deferrals = 0
  let unseen = 0
  try {
    for (;;) {
      const { holder, places } = readQueue(name)
      const isNext = !places.some((other) => !place || other < place.name)
      if (isNext || holder !== undefined || deferrals >= MOST_DEFERRALS) {
        const occupied = await occupy(name)
        if (occupied !== 'taken') return occupied
        unseen = holder === undefined ? unseen + 1 : 0
      } else deferrals++
      if (early.aborted || (holder !== undefined && holders.isStranger(holder)) || unseen >= MOST_UNSEEN)
        return nothing
      if (monotonicMs() >= until) return undefined
      place ??= await takePlace(name)
      await pause(LOOK_MS, early)
    }
  } finally {
    place?.leave()
  }
}

/** Names the socket after the outermost cgroup with a memory limit, which contains all processes that share a limit. */
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

/** Who has a turn, as far as the kernel's list shows it. `unknown`: it shows several, or is too long. */
export type TurnHolder = 'nobody' | 'this process' | 'another' | 'unknown'

/** Looks up who has the turn now. Never throws. */
export function turnHolder(name = turnName()): TurnHolder {
  const holder = name === undefined ? undefined : readQueue(name).holder
  if (holder === undefined) return 'nobody'
  if (holder === UNKNOWN_HOLDER) return 'unknown'
  const isOurs = hasDescriptor(
    (path, pid) => pid === process.pid && readlinkSync(path) === `socket:[${holder}]`,
  )
  return isOurs ? 'this process' : 'another'
}

/** Original `Server.prototype.listen`, saved here because a cluster worker replaces it to track the application's servers. */
// eslint-disable-next-line @typescript-eslint/unbound-method -- called with the server as `this` below
const { listen } = Server.prototype

function occupy(name: string): Promise<EndTurn | 'taken'> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', ({ code }: NodeJS.ErrnoException) =>
      // If no abstract socket can be created, as with --permission, processes do not wait for each other.
      resolve(code === 'EADDRINUSE' ? 'taken' : nothing),
    )
    server.once('listening', () => {
      server.unref()
      resolve(() => server.close())
    })
    try {
      // Without `exclusive`, a worker of node:cluster would ask its primary to listen.
      listen.call(server, { path: name, exclusive: true })
      server.unref()
    } catch {
      resolve(nothing)
    }
  })
}

const nothing: EndTurn = () => undefined

interface Place {
  /** Name of the socket that is this process's place in the queue. It sorts behind the names of processes that came before. */
  readonly name: string
  readonly leave: () => void
}

/** Joins the queue with a socket named by the current time, from the kernel's monotonic clock, which all processes share. */
async function takePlace(name: string): Promise<Place | undefined> {
  const place = `${name}/${Math.floor(monotonicMs() * 1000)
    .toString()
    .padStart(16, '0')}`
  const leave = await occupy(place)
  return leave === 'taken' ? undefined : { name: place, leave }
}

/** Finds out whether a process of this user holds a socket, once per socket, because it reads all their file descriptors. */
class Holders {
  #known: string | undefined
  #suspect: string | undefined
  #doubts = 0

  /**
   * Whether no process of this user holds the socket with this inode. Several checks in a row must agree, two of one inode or
   * three of changing ones: the holder may have ended just before a check, or another user may bind the name anew.
   */
  isStranger(inode: string): boolean {
    if (inode === this.#known) return false
    const isOwn = hasDescriptor(
      (path, pid) => readlinkSync(path) === `socket:[${inode}]` && isStartedByUser(pid),
    )
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

/** Whether the process's real user is ours. A program such as `su` runs as root, with the descriptors of its real user. */
function isStartedByUser(pid: number): boolean {
  const [, real] = /^Uid:\t(\d+)\t/m.exec(readKernelFile(`/proc/${pid}/status`) ?? '') ?? []
  return real !== undefined && Number(real) === process.getuid?.()
}

/** Used instead of an inode when `/proc/net/unix` is too long or shows several holders. It matches no process's socket. */
const UNKNOWN_HOLDER = 'unknown'

/** Line of `/proc/net/unix` for a listening stream socket. Captures its inode and its name, with `@` for each zero byte. */
const BOUND_SOCKET = /^[\da-f]+: [\da-f]+ [\da-f]+ [\da-f]+ 0001 01 +(\d+) @(.*)$/

/** Reads from `/proc/net/unix` the inode of the socket that stands for the turn, and the names of the sockets in the queue. */
function readQueue(name: string): {
  readonly holder: string | undefined
  readonly places: readonly string[]
} {
  const turn = name.slice(1)
  const places: string[] = []
  const list = readSocketList()
  if (list === undefined) return { holder: UNKNOWN_HOLDER, places }
  let holder: string | undefined
  for (const line of list.split('\n')) {
    if (!line.includes(turn)) continue
    const [, inode, padded = ''] = BOUND_SOCKET.exec(line) ?? []
    const shown = padded.replace(/@+$/, '')
    if (shown === turn) holder = holder === undefined ? inode : UNKNOWN_HOLDER
    else if (shown.startsWith(`${turn}/`)) places.push(`\0${shown}`)
  }
  return { holder, places }
}

/** Reads `/proc/net/unix`. @returns `undefined` when it is too long; an empty text when it cannot be read. */
function readSocketList(): string | undefined {
  const buffer = Buffer.allocUnsafe(MOST_LIST_BYTES)
  let length = 0
  try {
    const fd = openSync('/proc/net/unix', 'r')
    try {
      for (let count = -1; count !== 0 && length < MOST_LIST_BYTES; length += count)
        count = readSync(fd, buffer, length, MOST_LIST_BYTES - length, null)
    } finally {
      closeSync(fd)
    }
  } catch {
    return ''
  }
  return length < MOST_LIST_BYTES ? buffer.toString('latin1', 0, length) : undefined
}
