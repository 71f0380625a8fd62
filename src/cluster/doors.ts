import { subscribe } from 'node:diagnostics_channel'
import type { Server as HttpServer, ServerResponse } from 'node:http'
import type { Http2Session } from 'node:http2'
import { Server, type Socket } from 'node:net'
import { Connections } from './connections'
import { overruleKeepAlive, sayGoAway, sayLastResponse } from './farewell'
import { monotonicMs } from '../time/clock'
import { setTimeout } from '../time/timers'

/** Idle connections are looked for this often while the worker drains, ms. */
const SWEEP_MS = 50

/** Node, too, leaves a connection open for a second longer than its server's keepAliveTimeout. */
const KEEP_ALIVE_MARGIN_MS = 1000

const REQUEST_START = 'http.server.request.start'

interface RequestStart {
  readonly response: ServerResponse
  readonly socket: Socket
  readonly server: Server
}

/**
 * Everything through which clients reach this worker: its servers, their connections, the responses under way, whatever
 * framework they belong to. Watched from before the application starts, so that none is missed.
 */
export class Doors {
  /** Every server that was ever told to listen. */
  readonly #met = new WeakSet<Server>()
  /** Those that listen, or have connections left. */
  readonly #servers = new Set<Server>()
  /** Connections of HTTP/1.1 servers. */
  readonly #connections = new WeakMap<Server, Connections>()
  readonly #responses = new Set<ServerResponse>()
  readonly #sessions = new Set<Http2Session>()
  #isClosing = false
  #lingerUntil = Infinity
  #onEmpty: (() => void) | undefined

  constructor(private readonly now: () => number = monotonicMs) {}

  /** Begins to watch. Servers that listen already are not seen. */
  watch(): void {
    tapListen((server) => this.#meet(server))
    subscribe(REQUEST_START, (message) => this.#addResponse(message as RequestStart))
  }

  /**
   * Since Node 19 an HTTP server's own `close()` destroys idle connections at once, and with them requests that are on
   * the wire (https://github.com/nodejs/node/issues/53939). From now on it does not, also when the application or its
   * framework calls it.
   */
  holdIdle(): void {
    for (const server of this.#servers) holdIdle(server)
  }

  /**
   * Accepts no more, asks every client to leave with the next response, and leaves idle connections alone for the linger:
   * a request that is already on its way is still answered.
   *
   * @returns A promise that resolves when the last connection has ended.
   */
  close(lingerMs: number): Promise<void> {
    this.#isClosing = true
    this.#lingerUntil = this.now() + lingerMs
    overruleKeepAlive()
    for (const response of this.#responses) sayLastResponse(response)
    for (const session of this.#sessions) sayGoAway(session)
    const empty = new Promise<void>((resolve) => (this.#onEmpty = resolve))
    for (const server of this.#servers) this.#closeServer(server)
    this.#checkEmpty()
    return empty
  }

  /** Its listeners stay on it for good: a server may close and listen again as often as it likes. */
  #meet(server: Server): void {
    if (this.#met.has(server)) return
    this.#met.add(server)
    // Not from listen() on: one that fails is never followed by 'close'.
    server.on('listening', () => this.#addServer(server))
    server.on('close', () => this.#removeServer(server))
    server.on('session', this.#addSession)
    if (isHttp1(server)) this.#watchConnections(server)
  }

  #addServer(server: Server): void {
    this.#servers.add(server)
    if (this.#isClosing) this.#closeServer(server)
  }

  #removeServer(server: Server): void {
    this.#servers.delete(server)
    this.#checkEmpty()
  }

  #checkEmpty(): void {
    if (this.#servers.size === 0) this.#onEmpty?.()
  }

  #watchConnections(server: Server): void {
    const connections = new Connections(this.now)
    this.#connections.set(server, connections)
    // Over TLS the bytes of the handshake are not the application's: only the inner socket tells whether a request came.
    server.on(isTls(server) ? 'secureConnection' : 'connection', (socket: Socket) => connections.add(socket))
  }

  readonly #addSession = (session: Http2Session): void => {
    this.#sessions.add(session)
    session.once('close', () => this.#sessions.delete(session))
    if (this.#isClosing) sayGoAway(session)
  }

  #addResponse({ response, socket, server }: RequestStart): void {
    const connections = this.#connections.get(server)
    this.#responses.add(response)
    connections?.beginResponse(socket)
    response.once('close', () => {
      this.#responses.delete(response)
      connections?.endResponse(socket)
    })
    if (this.#isClosing) sayLastResponse(response)
  }

  #closeServer(server: Server): void {
    holdIdle(server)
    stopAccepting(server)
    const connections = this.#connections.get(server)
    if (!connections) return
    connections.beginDrain()
    this.#sweep(server as HttpServer, connections)
  }

  #sweep(server: HttpServer, connections: Connections): void {
    if (!this.#servers.has(server)) return
    // To Node 0 means never.
    const unusedMs = server.keepAliveTimeout > 0 ? server.keepAliveTimeout + KEEP_ALIVE_MARGIN_MS : Infinity
    connections.endIdle({ allFrom: this.#lingerUntil, unusedMs })
    setTimeout(() => this.#sweep(server, connections), SWEEP_MS).unref()
  }
}

/** Every server that listens passes here, whichever class or framework it comes from. */
export function tapListen(onListen: (server: Server) => void): void {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- it is applied to the server that it is called on
  const { listen } = Server.prototype
  Server.prototype.listen = function (this: Server, ...args: unknown[]): Server {
    onListen(this)
    return Reflect.apply(listen, this, args) as Server
  } as typeof listen
}

function holdIdle(server: Server): void {
  if (isHttp1(server)) server.closeIdleConnections = () => undefined
}

/** Skips what HTTP servers add to it, above all the end of their idle connections. */
function stopAccepting(server: Server): void {
  if (server.listening) Server.prototype.close.call(server)
}

function isHttp1(server: Server): server is HttpServer {
  return typeof (server as Partial<HttpServer>).closeIdleConnections === 'function'
}

function isTls(server: Server): boolean {
  return typeof (server as { setSecureContext?: unknown }).setSecureContext === 'function'
}
