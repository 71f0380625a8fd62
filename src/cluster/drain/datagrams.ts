import type { Socket } from 'node:dgram'
import { tapBind } from './taps'

/** Stops libuv from reading a socket. No public call of Node does so and still lets the socket send. */
interface Handle {
  recvStop(): unknown
}

/** The UDP sockets through which this worker serves. While it drains it leaves datagrams to the other workers. */
export class Datagrams {
  readonly #sockets = new Set<Socket>()
  #isClosing = false

  /** Begins to watch. Sockets that are already bound are missed. */
  watch(): void {
    tapBind((socket) => this.#add(socket))
  }

  /** Stops the reading. Answers can still be sent. Datagrams read so far have reached the application. */
  readNoMore(): void {
    this.#isClosing = true
    for (const socket of this.#sockets) stopReading(socket)
  }

  #add(socket: Socket): void {
    if (this.#sockets.has(socket)) return
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    socket.once('listening', () => this.#isClosing && stopReading(socket))
  }
}

function stopReading(socket: Socket): void {
  if (isConnected(socket)) return
  for (const symbol of Object.getOwnPropertySymbols(socket)) {
    const state = (socket as unknown as Record<symbol, { handle?: Partial<Handle> | null } | undefined>)[
      symbol
    ]
    if (typeof state?.handle?.recvStop === 'function') state.handle.recvStop()
  }
}

/** Whether the socket is connected: it then has one peer, whose answers requests under way may need. */
function isConnected(socket: Socket): boolean {
  try {
    socket.remoteAddress()
    return true
  } catch {
    return false
  }
}
