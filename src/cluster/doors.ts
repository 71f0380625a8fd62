import { subscribe } from 'node:diagnostics_channel'
import type { Server as HttpServer, ServerResponse } from 'node:http'
import type { Http2Session } from 'node:http2'
import { Server, type Socket } from 'node:net'
import { sayGoAway, sayLastResponse } from './farewell'

/** Idle connections are looked for this often once the linger is over, ms. */
const SWEEP_MS = 50

const REQUEST_START = 'http.server.request.start'

/** Chooses how long a server's idle connections are left alone, ms. */
export type ChooseLinger = (keepAliveTimeoutMs: number) => number

/**
 * Everything through which clients reach this worker: its servers, their connections, the responses under way, whatever
 * framework they belong to. Watched from before the application starts, so that none is missed.
 */
export class Doors {
  readonly #servers = new Set<Server>()
  /** Connections of HTTP/1.1 servers. */
  readonly #connections = new Map<Server, Set<Socket>>()
  /** What `closeIdleConnections` did before it was held. */
  readonly #endsOfIdle = new Map<Server, () => void>()
  readonly #responses = new Set<ServerResponse>()
  readonly #sessions = new Set<Http2Session>()
  #chooseLinger: ChooseLinger | undefined
  #onEmpty: (() => void) | undefined

  /** Begins to watch. Servers that listen already are not seen. */
  watch(): void {
    tapListen((server) => this.#addServer(server))
    subscribe(REQUEST_START, this.#addResponse)
  }

  /**
   * Since Node 19 an HTTP server's own `close()` destroys idle connections at once, and with them requests that are on
   * the wire (https://github.com/nodejs/node/issues/52330). From now on it does not, also when the application or its
   * framework calls it; the end of the linger does.
   */
  holdIdle(): void {
    for (const server of this.#servers) if (isHttp1(server)) this.#holdIdle(server)
  }

  /**
   * Accepts no more, asks every client to leave with the next response, and leaves idle connections alone for the linger:
   * a request that is already on its way is still answered.
   *
   * @returns A promise that resolves when the last connection has ended.
   */
  close(chooseLinger: ChooseLinger): Promise<void> {
    this.#chooseLinger = chooseLinger
    for (const response of this.#responses) sayLastResponse(response)
    for (const session of this.#sessions) sayGoAway(session)
    const empty = new Promise<void>((resolve) => (this.#onEmpty = resolve))
    for (const server of this.#servers) this.#closeServer(server, chooseLinger)
    this.#checkEmpty()
    return empty
  }

  #addServer(server: Server): void {
    if (this.#servers.has(server)) return
    this.#servers.add(server)
    server.once('close', () => this.#removeServer(server))
    server.on('session', this.#addSession)
    if (isHttp1(server)) this.#watchConnections(server)
    const chooseLinger = this.#chooseLinger
    if (chooseLinger) server.once('listening', () => this.#closeServer(server, chooseLinger))
  }

  #removeServer(server: Server): void {
    this.#servers.delete(server)
    this.#connections.delete(server)
    server.off('session', this.#addSession)
    this.#checkEmpty()
  }

  #checkEmpty(): void {
    if (this.#servers.size === 0) this.#onEmpty?.()
  }

  #watchConnections(server: Server): void {
    const connections = new Set<Socket>()
    this.#connections.set(server, connections)
    const add = (socket: Socket) => {
      connections.add(socket)
      socket.once('close', () => connections.delete(socket))
    }
    // Over TLS the bytes of the handshake are not the application's: only the inner socket tells whether a request came.
    server.on(isTls(server) ? 'secureConnection' : 'connection', add)
  }

  readonly #addSession = (session: Http2Session): void => {
    this.#sessions.add(session)
    session.once('close', () => this.#sessions.delete(session))
    if (this.#chooseLinger) sayGoAway(session)
  }

  readonly #addResponse = (message: unknown): void => {
    const { response } = message as { response: ServerResponse }
    this.#responses.add(response)
    response.once('close', () => this.#responses.delete(response))
    if (this.#chooseLinger) sayLastResponse(response)
  }

  #closeServer(server: Server, chooseLinger: ChooseLinger): void {
    if (isHttp1(server)) {
      this.#holdIdle(server)
      setTimeout(() => this.#endIdle(server), chooseLinger(server.keepAliveTimeout)).unref()
    }
    stopAccepting(server)
  }

  #holdIdle(server: HttpServer): void {
    if (this.#endsOfIdle.has(server)) return
    this.#endsOfIdle.set(server, server.closeIdleConnections.bind(server))
    server.closeIdleConnections = () => undefined
  }

  #endIdle(server: HttpServer): void {
    if (!this.#servers.has(server)) return
    this.#endsOfIdle.get(server)?.()
    for (const socket of this.#connections.get(server) ?? []) if (socket.bytesRead === 0) socket.destroy()
    setTimeout(() => this.#endIdle(server), SWEEP_MS).unref()
  }
}

/** Every server that listens passes here, whichever class or framework it comes from. */
function tapListen(onListen: (server: Server) => void): void {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- it is applied to the server that it is called on
  const { listen } = Server.prototype
  Server.prototype.listen = function (this: Server, ...args: unknown[]): Server {
    onListen(this)
    return Reflect.apply(listen, this, args) as Server
  } as typeof listen
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
