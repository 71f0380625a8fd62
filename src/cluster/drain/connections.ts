import type { Socket } from 'node:net'

/** Idle time, ms, below which a connection is kept for its client's next request, even when idle connections are ended. */
const GRACE_MS = 200

interface Use {
  /** Number of responses under way. */
  active: number
  /** Time since which the connection is idle, monotonic ms. */
  idleSince: number
  /** `bytesRead` of the socket when the connection became idle. A larger value now means that a request is arriving. */
  bytesRead: number
}

/** When the idle connections of a server are ended. */
export interface IdleRule {
  /** From this time on all idle connections are ended, monotonic ms. */
  readonly allFrom: number
  /**
   * Time from the beginning of the drain after which a connection is ended on which the client has sent nothing, ms. Node's
   * keepAliveTimeout does not apply to such a connection.
   */
  readonly unusedMs: number
}

/** The HTTP/1.1 connections of one server, and their idle times. */
export class Connections {
  readonly #uses = new Map<Socket, Use>()

  constructor(private readonly now: () => number) {}

  add(socket: Socket): void {
    this.#uses.set(socket, { active: 0, idleSince: this.now(), bytesRead: 0 })
    socket.once('close', () => this.#uses.delete(socket))
  }

  beginResponse(socket: Socket): void {
    const use = this.#uses.get(socket)
    if (use) use.active += 1
  }

  endResponse(socket: Socket): void {
    const use = this.#uses.get(socket)
    if (!use) return
    use.active -= 1
    use.idleSince = this.now()
    use.bytesRead = socket.bytesRead
  }

  /** Begins the drain: the time for which an unused connection is kept counts from here. */
  beginDrain(): void {
    for (const [socket, use] of this.#uses) if (socket.bytesRead === 0) use.idleSince = this.now()
  }

  endIdle({ allFrom, unusedMs }: IdleRule): void {
    const now = this.now()
    for (const [socket, use] of this.#uses) {
      if (use.active > 0 || socket.bytesRead !== use.bytesRead) continue
      const idleMs = now - use.idleSince
      const isUnusedTooLong = socket.bytesRead === 0 && idleMs >= unusedMs
      if (isUnusedTooLong || (now >= allFrom && idleMs >= GRACE_MS)) socket.destroy()
    }
  }
}
