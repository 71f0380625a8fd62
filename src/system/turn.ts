import { statSync } from 'node:fs'
import { monotonicMs, pause } from '../base/time'
import { type HeldSocket, loadForkHelper, type SocketHelper } from '../capture/heap/fork/helper'
import { limitedGroups, readTotalMemory } from './limits'
import { type ReadKernelFile, readKernelFile } from './proc'

/** Interval at which a process that waits for its turn tries again, ms. */
const LOOK_MS = 100
/**
 * Looks in a row that find nobody of this user with the turn, after which a process that is not the next tries to take it, and goes on
 * without it where it cannot. Whoever is the next takes it at the next look; but a place may be held by a stopped process or by another
 * user, who must not delay a dump by more than this, and so may the name of the turn.
 */
const MOST_IDLE_LOOKS = 10
/** Processes whose order is kept. A few microseconds each for one that comes. */
const MOST_PLACES = 32

/** Ends a turn, so that the next process can take it. */
export type EndTurn = () => void

export interface TurnTerms {
  /** Longest wait for other processes under the same memory limit, ms. */
  readonly longestMs: number
  /** Ends the wait early when it is aborted. */
  readonly early: AbortSignal
  /** Name of the socket that represents the turn, with the effective user in it; absent where processes share no memory limit. */
  readonly name?: string | undefined
}

/**
 * Waits for this process's turn: of the processes under one memory limit, one at a time takes a heap snapshot. A turn
 * is an abstract Unix socket that listens: the kernel gives its name to one process, and frees it when that process
 * ends in any way. So is a place in the queue.
 *
 * Any user can occupy such names. So nothing is waited for but a turn whose holder is of this user by the word of the kernel; others
 * can take the order away, and no dump.
 *
 * @returns `undefined` when another process of this user had the turn when `longestMs` were over. Otherwise a function that ends the
 * turn; also when the wait was ended early or there is nothing to wait for.
 */
export async function takeTurn({
  longestMs,
  early,
  name = turnName(),
}: TurnTerms): Promise<EndTurn | undefined> {
  const sockets = socketsOf(loadForkHelper())
  if (name === undefined || !sockets) return nothing
  const until = monotonicMs() + longestMs
  const queue = new Queue(sockets, name)
  const holder = new Holder(sockets, name)
  let idleLooks = 0
  try {
    for (;;) {
      const isLate = monotonicMs() >= until
      const isLast = isLate || idleLooks >= MOST_IDLE_LOOKS
      if (queue.advance() || isLast) {
        const turn = sockets.listenAt(name)
        if (turn) return () => sockets.closeSocket(turn)
      }
      const who = holder.look()
      if (early.aborted || who === 'other' || (who === 'nobody' && isLast)) return nothing
      if (isLate) return undefined
      idleLooks = who === 'nobody' ? idleLooks + 1 : 0
      await pause(LOOK_MS, early)
    }
  } catch {
    // No such socket can be made: by the limit of descriptors, or by a filter of system calls.
    return nothing
  } finally {
    queue.leave()
    holder.leave()
  }
}

/** Names the socket after the outermost cgroup with a memory limit: it contains all processes that share a limit. */
export function turnName(read: ReadKernelFile = readKernelFile): string | undefined {
  const group = limitedGroups(read, readTotalMemory(read)).at(-1)
  if (process.platform !== 'linux' || !group) return undefined
  try {
    // Device and inode are the same through every mount of the hierarchy.
    const { dev, ino } = statSync(group.directory)
    return `cpu-memory-monitor/${process.geteuid?.()}/${dev}:${ino}`
  } catch {
    return undefined
  }
}

const nothing: EndTurn = () => undefined

function socketsOf(loaded: ReturnType<typeof loadForkHelper>): SocketHelper | undefined {
  const { helper } = { helper: undefined, ...loaded }
  return helper?.listenAt && (helper as SocketHelper)
}

/**
 * Places in the order of their numbers, each a socket: the process at the first is the next. One that comes starts behind the last, and
 * moves as long as the place before it is free, so that it overtakes nobody.
 */
class Queue {
  readonly #sockets: SocketHelper
  readonly #name: string
  #number = MOST_PLACES + 1
  #place: HeldSocket | undefined

  constructor(sockets: SocketHelper, name: string) {
    this.#sockets = sockets
    this.#name = name
  }

  /** @returns Whether this process is the next. */
  advance(): boolean {
    while (this.#number > 1) {
      const next = this.#sockets.listenAt(`${this.#name}/${this.#number - 1}`)
      if (!next) return false
      this.leave()
      this.#place = next
      this.#number--
    }
    return true
  }

  leave(): void {
    if (this.#place) this.#sockets.closeSocket(this.#place)
  }
}

/** Finds out who has the turn. */
class Holder {
  readonly #sockets: SocketHelper
  readonly #name: string
  #connection: HeldSocket | undefined

  constructor(sockets: SocketHelper, name: string) {
    this.#sockets = sockets
    this.#name = name
  }

  /**
   * The credentials of a connection are those with which its other side began to listen: they do not change with the process that has
   * the socket by now, such as a program with the set-user-ID bit. This user's own processes listen with this effective user, which is
   * in the name, and root's with none other; so root is no exception.
   *
   * A connection stays open until the holder ends its turn: a new one at each look would fill the list of those that wait there.
   */
  look(): 'own' | 'other' | 'nobody' {
    if (this.#connection && this.#sockets.isConnected(this.#connection)) return 'own'
    this.leave()
    this.#connection = this.#sockets.connectTo(this.#name)
    if (!this.#connection) return 'nobody'
    return isOwnUser(this.#sockets.peerUid(this.#connection)) ? 'own' : 'other'
  }

  leave(): void {
    if (this.#connection) this.#sockets.closeSocket(this.#connection)
    this.#connection = undefined
  }
}

const ALL_USERS = /^ *0 +0 +4294967295\n$/

/** In a user namespace the kernel shows all users that it does not map as one. A process that is that one cannot tell its own. */
export function isOwnUser(
  uid: number,
  own = process.geteuid?.(),
  read: ReadKernelFile = readKernelFile,
): boolean {
  if (uid !== own) return false
  const unmapped = Number(read('/proc/sys/kernel/overflowuid') ?? 65_534)
  return uid !== unmapped || ALL_USERS.test(read('/proc/self/uid_map') ?? '')
}
