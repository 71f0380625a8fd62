import type { Socket } from 'node:dgram'
import { tapBind } from './taps'

/** What stops libuv from reading a socket. Node has no public call that does so and leaves the socket fit to send. */
interface Handle {
  recvStop(): unknown
}

/** The UDP sockets through which this worker serves. A draining one leaves datagrams in the socket that the workers share. */
export class Datagrams {
  readonly #sockets = new Set<Socket>()
  #isClosing = false

  /** Begins to watch. Sockets that are bound already are missed. */
  watch(): void {
    tapBind((socket) => this.#add(socket))
  }

  /** Answers can still be sent. Datagrams that have been read already are with the application. */
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

/** A connected socket has one peer, whose answers requests under way may need. */
function isConnected(socket: Socket): boolean {
  try {
    socket.remoteAddress()
    return true
  } catch {
    return false
  }
}
