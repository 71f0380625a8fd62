import { subscribe } from 'node:diagnostics_channel'
import type { Server as HttpServer, ServerResponse } from 'node:http'
import type { Http2Session } from 'node:http2'
import { Server, type Socket } from 'node:net'
import { Connections } from './connections'
import { markLastResponse, overruleKeepAlive, sendGoAway } from './last-response'
import { monotonicMs } from '../../base/clock'
import { setTimeout } from '../../base/timers'

/** How often idle connections are looked for while the worker drains, ms. */
const SWEEP_MS = 50

/** Node itself leaves a connection open for this much longer than its server's `keepAliveTimeout`, ms. */
const KEEP_ALIVE_MARGIN_MS = 1000

const REQUEST_START = 'http.server.request.start'

interface RequestStart {
  readonly response: ServerResponse
  readonly socket: Socket
  readonly server: Server
}

/**
 * Everything through which clients reach this worker: its servers, their connections and the responses under way, of any
 * framework. The watch begins before the application starts, so that it misses none.
 */
export class Doors {
  /** Every server that has ever been asked to listen. */
  readonly #met = new WeakSet<Server>()
  /** Servers that listen, or have connections left. */
  readonly #servers = new Set<Server>()
  /** Connections of HTTP/1.1 servers. */
  readonly #connections = new WeakMap<Server, Connections>()
  readonly #responses = new Set<ServerResponse>()
  readonly #sessions = new Set<Http2Session>()
  #isClosing = false
  #lingerUntil = Infinity
  #onEmpty: (() => void) | undefined

  constructor(private readonly now: () => number = monotonicMs) {}

  /** Begins to watch. Servers that listen already are missed. */
  watch(): void {
    tapListen((server) => this.#meet(server))
    subscribe(REQUEST_START, (message) => this.#addResponse(message as RequestStart))
  }

  /**
   * Since Node 19 an HTTP server's own `close()` destroys idle connections at once, and with them requests that are on
   * the wire (https://github.com/nodejs/node/issues/53939). From now on it leaves them alone, even when the application or
   * its framework calls it.
   */
  holdIdle(): void {
    for (const server of this.#servers) holdIdle(server)
  }

  /**
   * Accepts no more connections, asks every client to leave with the next response, and leaves idle connections alone for
   * the linger, so that a request on the wire is still answered.
   *
   * @returns A promise that resolves when the last connection has ended.
   */
  close(lingerMs: number): Promise<void> {
    this.#isClosing = true
    this.#lingerUntil = this.now() + lingerMs
    overruleKeepAlive()
    for (const response of this.#responses) markLastResponse(response)
    for (const session of this.#sessions) sendGoAway(session)
    const empty = new Promise<void>((resolve) => (this.#onEmpty = resolve))
    for (const server of this.#servers) this.#closeServer(server)
    this.#checkEmpty()
    return empty
  }

  /** The listeners stay on the server: it may close and listen again any number of times. */
  #meet(server: Server): void {
    if (this.#met.has(server)) return
    this.#met.add(server)
    // Not at the call of listen(): one that fails is never followed by 'close'.
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
    // Over TLS the outer socket counts the bytes of the handshake too: only the inner one shows whether a request came.
    server.on(isTls(server) ? 'secureConnection' : 'connection', (socket: Socket) => connections.add(socket))
  }

  readonly #addSession = (session: Http2Session): void => {
    this.#sessions.add(session)
    session.once('close', () => this.#sessions.delete(session))
    if (this.#isClosing) sendGoAway(session)
  }

  #addResponse({ response, socket, server }: RequestStart): void {
    const connections = this.#connections.get(server)
    this.#responses.add(response)
    connections?.beginResponse(socket)
    response.once('close', () => {
      this.#responses.delete(response)
      connections?.endResponse(socket)
    })
    if (this.#isClosing) markLastResponse(response)
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
    // To Node, 0 means never.
    const unusedMs = server.keepAliveTimeout > 0 ? server.keepAliveTimeout + KEEP_ALIVE_MARGIN_MS : Infinity
    connections.endIdle({ allFrom: this.#lingerUntil, unusedMs })
    setTimeout(() => this.#sweep(server, connections), SWEEP_MS).unref()
  }
}

/** Calls back for every server that is asked to listen, of any class or framework. */
export function tapListen(onListen: (server: Server) => void): void {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with the server as `this` below
  const { listen } = Server.prototype
  Server.prototype.listen = function (this: Server, ...args: unknown[]): Server {
    onListen(this)
    return Reflect.apply(listen, this, args) as Server
  } as typeof listen
}

function holdIdle(server: Server): void {
  if (isHttp1(server)) server.closeIdleConnections = () => undefined
}

/** Skips what HTTP servers add to `close()`, above all that it ends their idle connections. */
function stopAccepting(server: Server): void {
  if (server.listening) Server.prototype.close.call(server)
}

function isHttp1(server: Server): server is HttpServer {
  return typeof (server as Partial<HttpServer>).closeIdleConnections === 'function'
}

function isTls(server: Server): boolean {
  return typeof (server as { setSecureContext?: unknown }).setSecureContext === 'function'
}
