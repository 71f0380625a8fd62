import { closeSync, openSync, readlinkSync, readSync, statSync } from 'node:fs'
import { createServer, Server } from 'node:net'
import { hasDescriptor } from '../base/descriptors'
import { Promise } from '../base/globals'
import { monotonicMs, pause } from '../base/time'
import { limitedGroups, readTotalMemory } from './limits'
import { type ReadKernelFile, readKernelFile } from './proc'

/** Interval at which a process that waits for its turn tries again, ms. */
const LOOK_MS = 100
/**
 * Looks at which a process leaves a free turn to those who came before it. They take it at their next look; but a place may be
 * held by a stopped process or by another user, who must not delay a dump by more than this.
 */
const MOST_DEFERRALS = 10
/** Looks in a row that find the turn taken by a socket that does not listen. A turn that was just taken does at the next look. */
const MOST_UNSEEN = 10
/** Bytes of the kernel's list of sockets that are read in one look: any user can make it longer, and 30 MiB take two seconds. */
const MOST_LIST_BYTES = 1024 * 1024

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
 * ends in any way. So is a place in the queue, whose name ends with the time at which the waiting began: who came first is next.
 *
 * Any user can occupy such a name, and by a line break in another name write lines into the list in which holders are looked up. So a
 * name is free when it can be taken, whatever the list says, and a turn is ignored that is held by no process of this user, or of which
 * the list does not show one holder that listens.
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

interface Place {
  /** Sorts behind the names of those who came before. */
  readonly name: string
  readonly leave: () => void
}

/** The clock is the kernel's, the same in all processes. */
async function takePlace(name: string): Promise<Place | undefined> {
  const place = `${name}/${Math.floor(monotonicMs() * 1000)
    .toString()
    .padStart(16, '0')}`
  const leave = await occupy(place)
  return leave === 'taken' ? undefined : { name: place, leave }
}

/** Judges whether a process of this user holds a name, once per holder: it reads the descriptors of all of them. */
class Holders {
  #known: string | undefined
  #suspect: string | undefined
  #doubts = 0

  /**
   * Whether no holder is among this user's processes, by two checks of one holder or three of several in a row: a process of this
   * user may have ended just before a check, and another user may take the name anew between two.
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

/** A program such as `su` runs as root and keeps the descriptors of the user who started it. That user is its real one. */
function isStartedByUser(pid: number): boolean {
  const [, real] = /^Uid:\t(\d+)\t/m.exec(readKernelFile(`/proc/${pid}/status`) ?? '') ?? []
  return real !== undefined && Number(real) === process.getuid?.()
}

/** Stands for a holder where the list shows several, or is too long. No process has a socket of this inode. */
const UNKNOWN_HOLDER = 'unknown'

/** A stream socket that is bound and not connected, in `/proc/net/unix`: its inode, and its name with an `@` for each zero byte. */
const BOUND_SOCKET = /^[\da-f]+: [\da-f]+ [\da-f]+ [\da-f]+ 0001 01 +(\d+) @(.*)$/

/** The inode of the socket that is the turn, and the names of the places. */
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

/** @returns `undefined` when the list is too long; an empty one where there is none. */
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
