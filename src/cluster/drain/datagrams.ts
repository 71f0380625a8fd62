import { Socket } from 'node:dgram'

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
    const add = (socket: Socket) => this.#add(socket)
    // eslint-disable-next-line @typescript-eslint/unbound-method -- called with the socket as `this` below
    const { bind } = Socket.prototype
    Socket.prototype.bind = function (this: Socket, ...args: unknown[]): Socket {
      if (!isForAnswers(args[0])) add(this)
      return Reflect.apply(bind, this, args) as Socket
    }
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

/** Whether the kernel chooses the port, also by sending: then the socket is a client's and needs its answers. */
function isForAnswers(given: unknown): boolean {
  if (typeof given !== 'object' || given === null) return false
  const { exclusive, port, fd } = given as { exclusive?: unknown; port?: unknown; fd?: unknown }
  return exclusive === true && !Number(port) && fd === undefined
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
