import type { Socket } from 'node:dgram'
import { tapBind } from './taps'

/**
 * Node's internal handle of a UDP socket. `recvStop` stops reading and still allows sending; no public function does
 * that.
 */
interface Handle {
  recvStop(): unknown
}

/** The UDP sockets on which this worker receives datagrams. A draining worker leaves datagrams to the other workers. */
export class Datagrams {
  readonly #sockets = new Set<Socket>()
  #isClosing = false

  /** Starts to record the UDP sockets that are bound from now on; those bound earlier are missed. */
  watch(): void {
    tapBind((socket) => this.#add(socket))
  }

  /**
   * Stops reading from all sockets that are not connected to one peer. Answers can still be sent. Datagrams that were read
   * before have reached the application.
   */
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

/** Whether the socket is connected to one peer. Such a socket is still read: requests under way may need the peer's answers. */
function isConnected(socket: Socket): boolean {
  try {
    socket.remoteAddress()
    return true
  } catch {
    return false
  }
}
