import { statSync } from 'node:fs'
import { isOwnUser } from '../base/own-user'
import { monotonicMs, pause } from '../base/time'
import { type HeldSocket, loadForkHelper, type SocketHelper } from '../capture/heap/fork/helper'
import { limitedGroups, readTotalMemory } from './limits'
import { type ReadKernelFile, readKernelFile } from './proc'

/** Interval at which a waiting process looks whether its turn, for example to take a heap snapshot, has come, ms. */
const LOOK_MS = 100
/**
 * Number of looks in a row, 100 ms apart, at which a waiting process finds that no process has the turn. It then takes the turn
 * although others are before it in the queue, or, if it cannot, goes on without a turn. Normally the first process in the queue
 * takes a free turn at its next look. But a stopped process, or one of another user, may occupy a place in the queue or the
 * turn's name. Such a process can delay a turn only this long.
 */
const MOST_IDLE_LOOKS = 10
/**
 * Number of places in the queue of waiting processes. Further processes wait in no order. At its first look a process tries the
 * places from the last one forward, which takes 2 µs each.
 */
const MOST_PLACES = 32

/** Ends this process's turn: closes the socket that stands for the turn, so that the next waiting process can go on. */
export type EndTurn = () => void

export interface TurnTerms {
  /** Longest time to wait while other processes have their turns, ms. */
  readonly longestMs: number
  /** Aborting this signal ends the wait early. */
  readonly early: AbortSignal
  /**
   * Name of the abstract Unix socket that stands for the turn. It must contain the id of the effective user.
   *
   * @default the name for heap snapshots, from {@link turnName}
   */
  readonly name?: string | undefined
}

/**
 * Waits for this process's turn to do what one process at a time should do: by default, to take a heap snapshot under a memory
 * limit that several processes share. The turn is a listening abstract Unix socket: the kernel gives the socket's name to one
 * process, and frees the name when that process ends in any way. Each place in the queue of waiting processes is such a socket
 * too.
 *
 * Processes of other users can occupy these names. So a process waits for a holder only while the kernel says that the holder
 * belongs to this user. If a process of another user has the turn, it goes on without one; if nobody has it, it waits for a second
 * at most. Other users can thus upset or suspend the turns, but not prevent what is done in them.
 *
 * @returns A function that ends the turn. It does nothing if this process goes on without a turn, for example because the wait
 * was ended early or no turns are possible here. `undefined` if another process of this user still had the turn after
 * `longestMs`.
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
    // No abstract socket can be made (no free descriptor, a filter of system calls): go on without a turn.
    return nothing
  } finally {
    queue.leave()
    holder.leave()
  }
}

/**
 * Returns the name of the socket that stands for the turn to take a heap snapshot. The name identifies the outermost cgroup with
 * a memory limit, which contains all processes that share a limit.
 *
 * @returns `undefined` where no such cgroup is found. Processes then take no turns.
 */
export function turnName(read: ReadKernelFile = readKernelFile): string | undefined {
  const group = limitedGroups(read, readTotalMemory(read)).at(-1)
  if (process.platform !== 'linux' || !group) return undefined
  try {
    // The device and inode numbers of a cgroup's directory are the same in every mount of the cgroup file system.
    const { dev, ino } = statSync(group.directory)
    return `cpu-memory-monitor/${process.geteuid?.()}/${dev}:${ino}`
  } catch {
    return undefined
  }
}

/** Which process of this user has a turn. */
export type TurnHolder = 'nobody' | 'this process' | 'another'

/** Looks up which process of this user has the turn now, by default the turn to take a heap snapshot. Never throws. */
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
 * This process's place in the queue of waiting processes. The queue has numbered places, each a socket; the process at place 1 is
 * next. A new process starts behind the last place, and moves forward while the place before it is free. So it cannot overtake
 * another process.
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

  /** Moves forward while the places are free. @returns Whether this process is at place 1: the next turn is then its own. */
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

/** The process that has the turn, as the kernel shows it. */
class Holder {
  readonly #sockets: SocketHelper
  readonly #name: string
  #connection: HeldSocket | undefined

  constructor(sockets: SocketHelper, name: string) {
    this.#sockets = sockets
    this.#name = name
  }

  /** Pid of the process that had the turn at the last look. */
  pid: number | undefined

  /**
   * Looks whether a process of this user (`own`), one of another user (`other`) or nobody has the turn. The kernel shows the
   * credentials that the listening process had when it called listen(2). They do not change when another program inherits the
   * socket, such as one with the set-user-ID bit. Only the effective user of the calling process is `own`, because the socket's
   * name contains that user's id. Every other user is `other`, even root.
   *
   * The connection to the socket is kept until the turn ends. Connections are never accepted, so a new one for each look would
   * fill the socket's queue.
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
