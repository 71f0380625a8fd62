import { statSync } from 'node:fs'
import { monotonicMs, pause } from '../base/time'
import { type HeldSocket, loadForkHelper, type SocketHelper } from '../capture/heap/fork/helper'
import { limitedGroups, readTotalMemory } from './limits'
import { type ReadKernelFile, readKernelFile } from './proc'

/** Interval at which a waiting process looks again whether its turn to take a heap snapshot has come, ms. */
const LOOK_MS = 100
/**
 * Number of looks in a row that find the turn with no process of this user. After them a process takes the turn although others are
 * before it, or goes on without it. The next process in the queue normally takes a free turn at its next look. A process that is
 * stopped, or another user, may occupy a place in the queue or the name of the turn, and can delay a dump only this long.
 */
const MOST_IDLE_LOOKS = 10
/** Number of waiting processes whose order is kept. At its first look a process tries each place: two microseconds each. */
const MOST_PLACES = 32

/** Closes the socket that stands for this process's turn, so that the next waiting process can go on. */
export type EndTurn = () => void

export interface TurnTerms {
  /** Longest wait for the turns of other processes, ms. */
  readonly longestMs: number
  /** Aborting this signal ends the wait early. */
  readonly early: AbortSignal
  /**
   * Name of the abstract Unix socket that stands for the turn. It must contain the effective user. By default it names the cgroup whose
   * memory limit is shared.
   */
  readonly name?: string | undefined
}

/**
 * Waits until this process may take a heap snapshot: of the processes under one memory limit, one at a time does (its turn). The
 * turn is a listening abstract Unix socket: the kernel gives the socket's name to one process, and frees it when that process
 * ends in any way. Each place in the queue of waiting processes is such a socket too.
 *
 * Other users can occupy these names. So a process waits only while the kernel says that the holder of the turn belongs to this
 * user. Other users can change the order of dumps, but cannot prevent one.
 *
 * @returns A function that ends the turn, also when the wait was ended early or there is nothing to wait for. `undefined`
 * when another process of this user still had the turn after `longestMs`.
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
    // If no abstract socket can be made (no free descriptor, a filter of system calls), processes do not wait for each other.
    return nothing
  } finally {
    queue.leave()
    holder.leave()
  }
}

/** Names the socket after the outermost cgroup with a memory limit, which contains all processes that share a limit. */
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

/** Which process of this user has a turn. */
export type TurnHolder = 'nobody' | 'this process' | 'another'

/** Looks up who has the turn now. Never throws. */
export function turnHolder(name = turnName()): TurnHolder {
  const sockets = socketsOf(loadForkHelper())
  if (name === undefined || !sockets) return 'nobody'
  const holder = new Holder(sockets, name)
  try {
    if (holder.look() !== 'own') return 'nobody'
    return holder.pid === process.pid ? 'this process' : 'another'
  } catch {
    return 'nobody'
  } finally {
    holder.leave()
  }
}

const nothing: EndTurn = () => undefined

function socketsOf(loaded: ReturnType<typeof loadForkHelper>): SocketHelper | undefined {
  const { helper } = { helper: undefined, ...loaded }
  return helper?.listenAt && (helper as SocketHelper)
}

/**
 * The queue of waiting processes: numbered places, each a socket. The process at place 1 is next. A new process starts behind the
 * last place, and moves forward while the place before it is free, so it cannot overtake another process.
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

/** Asks the kernel who has the turn. */
class Holder {
  readonly #sockets: SocketHelper
  readonly #name: string
  #connection: HeldSocket | undefined

  constructor(sockets: SocketHelper, name: string) {
    this.#sockets = sockets
    this.#name = name
  }

  /** The process that had the turn at the last look. */
  pid: number | undefined

  /**
   * The kernel shows the credentials that the holder had when it called listen(2). They do not change when another program inherits
   * the socket, such as one with the set-user-ID bit. Processes of this user listen with its effective user, which is part of the
   * name. So nobody else counts, not even root.
   *
   * The connection is kept until the holder ends its turn: connections are never accepted, so a new one for each look would fill the
   * holder's queue.
   */
  look(): 'own' | 'other' | 'nobody' {
    if (this.#connection && this.#sockets.isConnected(this.#connection)) return 'own'
    this.leave()
    this.#connection = this.#sockets.connectTo(this.#name)
    if (!this.#connection) return 'nobody'
    const { pid, uid } = this.#sockets.peerOf(this.#connection)
    this.pid = pid
    return isOwnUser(uid) ? 'own' : 'other'
  }

  leave(): void {
    if (this.#connection) this.#sockets.closeSocket(this.#connection)
    this.#connection = undefined
  }
}

const ALL_USERS = /^ *0 +0 +4294967295\n$/

/** A user namespace shows all users that it does not map as one and the same. A process of that user cannot tell them from itself. */
export function isOwnUser(
  uid: number,
  own = process.geteuid?.(),
  read: ReadKernelFile = readKernelFile,
): boolean {
  if (uid !== own) return false
  const unmapped = Number(read('/proc/sys/kernel/overflowuid') ?? 65_534)
  return uid !== unmapped || ALL_USERS.test(read('/proc/self/uid_map') ?? '')
}
