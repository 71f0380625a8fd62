import type { Socket } from 'node:net'

/** Once idle connections are to end, one that has been idle for less than this is left for its client's next request, ms. */
const GRACE_MS = 200

interface Use {
  /** Responses under way. */
  active: number
  /** Monotonic ms. */
  idleSince: number
  /** `bytesRead` when it became idle: more than that, and a request is arriving. */
  bytesRead: number
}

/** When idle connections of a server are to end. Monotonic ms, and ms. */
export interface IdleRule {
  readonly allFrom: number
  /** One that never carried a byte ends after this time of the drain, because Node's own keepAliveTimeout does not count for it. */
  readonly unusedMs: number
}

/** The HTTP/1.1 connections of one server, and which of them carry nothing now. */
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

  /** The drain begins: from here on counts how long an unused connection is left alone. */
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
