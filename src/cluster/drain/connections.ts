import type { Socket } from 'node:net'

/** Connections idle for less than this (ms) are kept for their client's next request, even when idle ones are to end. */
const GRACE_MS = 200

interface Use {
  /** Responses under way. */
  active: number
  /** Monotonic ms. */
  idleSince: number
  /** `bytesRead` when it became idle; more than that means that a request is arriving. */
  bytesRead: number
}

/** When idle connections of a server are to end. Monotonic ms, and ms. */
export interface IdleRule {
  readonly allFrom: number
  /** A connection that never carried a byte ends this long after the drain began: Node's keepAliveTimeout does not apply to it. */
  readonly unusedMs: number
}

/** The HTTP/1.1 connections of one server, and which of them are idle. */
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

  /** The drain begins: the time for which an unused connection is left alone counts from here. */
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
