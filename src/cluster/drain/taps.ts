import { Socket as DatagramSocket } from 'node:dgram'
import type { EventEmitter } from 'node:events'
import * as http from 'node:http'
import { Server, Socket } from 'node:net'
import { setImmediate } from '../../base/time'

/** From now on, calls `onListen` for each `listen` of a server of any class, with the server and the call's first argument. */
export function tapListen(onListen: (server: Server, target: unknown) => void): void {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with the server as `this` below
  const { listen } = Server.prototype
  Server.prototype.listen = function (this: Server, ...args: unknown[]): Server {
    onListen(this, args[0])
    return Reflect.apply(listen, this, args) as Server
  } as typeof listen
}

/** From now on, calls `onBind` for each `bind` of a UDP socket that serves clients, with the socket and the first argument. */
export function tapBind(onBind: (socket: DatagramSocket, target: unknown) => void): void {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with the socket as `this` below
  const { bind } = DatagramSocket.prototype
  DatagramSocket.prototype.bind = function (this: DatagramSocket, ...args: unknown[]): DatagramSocket {
    if (!isForAnswers(args[0])) onBind(this, args[0])
    return Reflect.apply(bind, this, args) as DatagramSocket
  }
}

/**
 * Whether these arguments of `bind` ask for a port of the socket's own that the kernel chooses. Node calls `bind` so for an unbound
 * socket that sends, so the socket is taken for a client's. It is read even in a drain, because requests under way need the answers that it receives.
 */
function isForAnswers(target: unknown): boolean {
  if (typeof target !== 'object' || target === null) return false
  const { exclusive, port, fd } = target as { exclusive?: unknown; port?: unknown; fd?: unknown }
  return exclusive === true && !Number(port) && fd === undefined
}

/**
 * From now on, calls `onConnection` for each connection that any server gets, before the server's own listeners: one that
 * the server accepted, or one that the application gives it by `server.emit('connection', socket)`. The same connection may
 * be reported several times.
 */
export function tapConnections(onConnection: (server: Server, socket: Socket) => void): void {
  for (const prototype of emitters()) {
    // eslint-disable-next-line @typescript-eslint/unbound-method -- called with the server as `this` below
    const { emit } = prototype
    prototype.emit = function (this: Server, ...args: unknown[]): boolean {
      if (args[0] === 'connection' && isSocket(args[1])) onConnection(this, args[1])
      return Reflect.apply(emit, this, args) as boolean
    } as typeof emit
  }
}

/**
 * From now on, calls `onSocket` for each socket that the primary sends with a message, before the application gets it. The
 * application may give the socket to a server later, or serve it without a server.
 */
export function tapHandedSockets(onSocket: (socket: Socket) => void): void {
  const channel: EventEmitter = process
  channel.on('internalMessage', (message: { cmd?: unknown; type?: unknown }, handle?: object) => {
    if (message.cmd !== 'NODE_HANDLE' || message.type !== 'net.Socket' || !handle) return
    // Node has created the socket already, and stored it on the handle. 'message' is not used: a listener for it would
    // also get the application's messages.
    const owner = Object.getOwnPropertySymbols(handle).find(
      ({ description }) => description === 'owner_symbol',
    )
    const socket = owner && (handle as Record<symbol, unknown>)[owner]
    if (socket instanceof Socket) onSocket(socket)
  })
}

/**
 * Returns the prototypes of server classes whose `emit` must be wrapped: `net.Server`, and the HTTP and HTTPS servers if a
 * tracer has wrapped their `emit`, because the tracer's wrapper does not call the `emit` of `net.Server`. A module that is
 * not loaded yet has no such wrapper, and is not loaded for this.
 */
function emitters(): readonly Server[] {
  const { moduleLoadList = [] } = process as { readonly moduleLoadList?: readonly string[] }
  const classes: (typeof Server)[] = [http.Server]
  if (moduleLoadList.includes('NativeModule https')) {
    // eslint-disable-next-line @typescript-eslint/no-require-imports -- only where it is loaded already
    classes.push((require('node:https') as typeof http).Server)
  }
  const wrapped = classes.map(({ prototype }) => prototype).filter((each) => Object.hasOwn(each, 'emit'))
  return [Server.prototype, ...wrapped]
}

/** Whether the value can be used as a socket. It need not be a `net.Socket`: applications may give a server any stream. */
function isSocket(given: unknown): given is Socket {
  return typeof (given as Partial<Socket> | null | undefined)?.once === 'function'
}

/**
 * Whether a server or UDP socket listens through the primary, and so shares its listening socket with the other workers.
 *
 * @param target - The first argument of `listen` or `bind`: a port, a path, or an object.
 */
export function isThroughPrimary(target: unknown): boolean {
  if (typeof target !== 'object' || target === null) return true
  const { exclusive, reusePort, port, path } = target as Readonly<Record<string, unknown>>
  // An object without port, path and fd is an open handle. Node's own handles have an `fd` too, but inherited, not their own.
  const isPlace = port !== undefined || path !== undefined || Object.hasOwn(target, 'fd')
  return !exclusive && !reusePort && isPlace
}

/** Maximum number of connections that a draining server still accepts from the backlog: as many as Node's default holds. */
const MOST_LATE_CONNECTIONS = 511

/**
 * Closes a listening socket that this worker shares with no other. The kernel would reset the connections in the socket's
 * backlog, so the server first accepts them, one in each iteration of the event loop, until an iteration brings none.
 */
export function closeEmptied(server: Server, turnsLeft = MOST_LATE_CONNECTIONS): void {
  let isEmpty = true
  const note = () => (isEmpty = false)
  server.on('connection', note)
  setImmediate(() => {
    server.off('connection', note)
    if (isEmpty || turnsLeft === 0) closeListener(server)
    else closeEmptied(server, turnsLeft - 1)
  })
}

/** Closes only the listening socket of a server: an HTTP server's own `close()` would also end its idle connections. */
export function closeListener(server: Server): void {
  if (server.listening) Server.prototype.close.call(server)
}

export function isHttp1(server: Server): server is http.Server {
  return typeof (server as Partial<http.Server>).closeIdleConnections === 'function'
}

export function isTls(server: Server): boolean {
  return typeof (server as { setSecureContext?: unknown }).setSecureContext === 'function'
}
