import type { Socket } from 'node:net'

/** A connection that is idle for less than this time, ms, is kept for the next request, even when longer idle ones are ended. */
const GRACE_MS = 200

interface Use {
  /** Number of responses under way. */
  active: number
  /** Time since which the connection is idle, monotonic ms. */
  idleSince: number
  /** `bytesRead` of the socket when the connection became idle. A larger value now means that a request is arriving. */
  bytesRead: number
}

/** Rule by which idle connections of a draining server are ended. */
export interface IdleRule {
  /** Time from which all connections that are idle for at least 200 ms are ended, monotonic ms. */
  readonly allFrom: number
  /**
   * A connection on which the client has sent nothing yet is ended after this time, ms, counted from the beginning of the
   * drain or from the later beginning of the connection. Node's keepAliveTimeout does not apply to such a connection.
   */
  readonly unusedMs: number
}

/** The HTTP/1.1 connections of one server, with the time since which each is idle. */
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

  /** Begins the drain. If the client has sent nothing on a connection, the connection counts as idle from now on only. */
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
