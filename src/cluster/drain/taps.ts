import { Socket as DatagramSocket } from 'node:dgram'
import type { EventEmitter } from 'node:events'
import * as http from 'node:http'
import { Server, Socket } from 'node:net'
import { setImmediate } from '../../base/time'

/** Calls back for every server that is asked to listen, of any class or framework, with the first argument of `listen`. */
export function tapListen(onListen: (server: Server, target: unknown) => void): void {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with the server as `this` below
  const { listen } = Server.prototype
  Server.prototype.listen = function (this: Server, ...args: unknown[]): Server {
    onListen(this, args[0])
    return Reflect.apply(listen, this, args) as Server
  } as typeof listen
}

/** Calls back for every UDP socket that is bound to serve, with the first argument of `bind`. */
export function tapBind(onBind: (socket: DatagramSocket, target: unknown) => void): void {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with the socket as `this` below
  const { bind } = DatagramSocket.prototype
  DatagramSocket.prototype.bind = function (this: DatagramSocket, ...args: unknown[]): DatagramSocket {
    if (!isForAnswers(args[0])) onBind(this, args[0])
    return Reflect.apply(bind, this, args) as DatagramSocket
  }
}

/**
 * Whether a UDP socket is bound to a port of its own that the kernel chooses, as Node binds an unbound socket that sends.
 * Such a socket is a client's. It is read even in a drain, because requests under way need the answers that it receives.
 */
function isForAnswers(target: unknown): boolean {
  if (typeof target !== 'object' || target === null) return false
  const { exclusive, port, fd } = target as { exclusive?: unknown; port?: unknown; fd?: unknown }
  return exclusive === true && !Number(port) && fd === undefined
}

/**
 * Calls back for every connection that any server gets, before the server's own listeners: a connection that it
 * accepted, or one that the application gives it by `server.emit('connection', socket)`. The same connection may be
 * reported several times.
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
 * Calls back for every socket that the primary sends with a message, before the application gets the socket. The
 * application may give it to a server later, or serve it without a server.
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
 * Returns the prototypes whose `emit` is to be wrapped. Tracers that were loaded earlier wrap the `emit` of HTTP
 * servers, and their wrapper does not call the `emit` of `net.Server`. A module that is not loaded yet has no wrapper, and
 * need not be loaded for this.
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

/** Whether the value is used as a socket: an application may give a server any stream as a connection. */
function isSocket(given: unknown): given is Socket {
  return typeof (given as Partial<Socket> | null | undefined)?.once === 'function'
}

/**
 * Whether a server listens through the primary, and so shares its socket with the other workers.
 *
 * @param target - The first argument of `listen` or `bind`: a port, a path, or an object.
 */
export function isThroughPrimary(target: unknown): boolean {
  if (typeof target !== 'object' || target === null) return true
  const { exclusive, reusePort, port, path } = target as Readonly<Record<string, unknown>>
  // Without port, path or fd, the target is an open handle. Node's own handles have an `fd` too, but an inherited one.
  const isPlace = port !== undefined || path !== undefined || Object.hasOwn(target, 'fd')
  return !exclusive && !reusePort && isPlace
}

/** Maximum number of connections that a draining server still accepts from the kernel's backlog: Node's default backlog. */
const MOST_LATE_CONNECTIONS = 511

/**
 * Closes a listening socket that this worker shares with no other. The kernel would reset the connections in the socket's
 * backlog, so the server first accepts them, one in each turn of the event loop, until a turn brings none.
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
