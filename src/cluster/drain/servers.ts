import { subscribe } from 'node:diagnostics_channel'
import type { Server as HttpServer, ServerResponse } from 'node:http'
import type { Http2Session } from 'node:http2'
import { type Server, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { monotonicMs, setImmediate, setTimeout } from '../../base/time'
import { Connections } from './connections'
import { Datagrams } from './datagrams'
import { markLastResponse, overruleKeepAlive, sendGoAway } from './last-response'
import {
  closeEmptied,
  closeListener,
  isHttp1,
  isThroughPrimary,
  isTls,
  tapConnections,
  tapHandedSockets,
  tapListen,
} from './taps'

/** Interval at which a draining worker looks for idle connections, ms. */
const SWEEP_MS = 50

/** Node itself keeps an idle connection open for this much longer than its server's `keepAliveTimeout`, ms. */
const KEEP_ALIVE_MARGIN_MS = 1000

const REQUEST_START = 'http.server.request.start'

interface RequestStart {
  readonly response: ServerResponse
  readonly socket: Socket
  readonly server: Server
}

/**
 * All servers of this worker, of any framework, with their connections and the responses under way. A connection counts if
 * a server accepted it, and also if the application passes it to a server with `emit('connection', socket)`, as with sockets
 * that the primary sends to its workers. `watch` must be called before the application starts, to miss none.
 */
export class Doors {
  /** Servers that are observed already: each was asked to listen, or was given a connection, at least once. */
  readonly #met = new WeakSet<Server>()
  /** Servers whose listening socket no other worker shares. When it is closed, the kernel resets connections not yet accepted. */
  readonly #own = new WeakSet<Server>()
  /** Servers that listen, or have connections left that they accepted. */
  readonly #servers = new Set<Server>()
  /**
   * Connections that no server of this worker accepted itself, such as a socket that the primary has sent.
   * The value is the server to which the application has passed the connection; `undefined` while it has passed it to none.
   * Node closes a server without waiting for these connections.
   */
  readonly #given = new Map<Socket, Server | undefined>()
  /** Connections of each HTTP/1.1 server. */
  readonly #connections = new WeakMap<Server, Connections>()
  readonly #responses = new Set<ServerResponse>()
  readonly #sessions = new Set<Http2Session>()
  readonly #datagrams = new Datagrams()
  #isClosing = false
  #lingerUntil = Infinity
  #onEmpty: (() => void) | undefined

  constructor(private readonly now: () => number = monotonicMs) {}

  /** Starts to observe servers and connections. Servers that listen already are missed. */
  watch(): void {
    tapListen((server, target) => {
      if (isThroughPrimary(target)) this.#own.delete(server)
      else this.#own.add(server)
      this.#meet(server)
    })
    tapConnections((server, socket) => this.#addConnection(server, socket))
    tapHandedSockets((socket) => this.#addGiven(socket, undefined))
    this.#datagrams.watch()
    subscribe(REQUEST_START, (message) => this.#addResponse(message as RequestStart))
  }

  /**
   * Must be called before the application cleans up. Stops reading datagrams, so that the application can count those that
   * it still has to answer.
   *
   * Since Node 19 an HTTP server's own `close()` destroys idle connections at once, and with them requests that are on
   * the wire (https://github.com/nodejs/node/issues/53939). From now on `close()` keeps idle connections, even when the
   * application or its framework calls it.
   */
  prepare(): void {
    this.#datagrams.readNoMore()
    for (const server of this.#open()) holdIdle(server)
  }

  /**
   * Accepts no more connections, asks every client to leave with the next response, and keeps idle connections for
   * `lingerMs`, so that a request on the wire is still answered.
   *
   * @returns A promise that resolves when the last connection has ended.
   */
  close(lingerMs: number): Promise<void> {
    this.#isClosing = true
    this.#lingerUntil = this.now() + lingerMs
    overruleKeepAlive()
    for (const response of this.#responses) markLastResponse(response)
    for (const session of this.#sessions) sendGoAway(session)
    for (const server of this.#open()) this.#closeServer(server)
    this.#sweep()
    return this.empty()
  }

  /** @returns A promise that resolves when no connection is left. Servers may get new connections afterwards. */
  empty(): Promise<void> {
    return new Promise((resolve) => {
      this.#onEmpty = resolve
      this.#checkEmpty()
    })
  }

  /** Servers that listen, or have connections left. */
  #open(): ReadonlySet<Server> {
    const given = [...this.#given.values()].filter((server) => server !== undefined)
    return new Set([...this.#servers, ...given])
  }

  /** Observes a server. The event listeners stay on the server: it may close and listen again any number of times. */
  #meet(server: Server): void {
    if (this.#met.has(server)) return
    this.#met.add(server)
    if (this.#isClosing) holdIdle(server)
    // The server counts as open from 'listening' on, not from the call of listen(): after a failed call comes no 'close'.
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

  /** Called for each connection, before the server's own listeners for it. */
  #addConnection(server: Server, socket: Socket): void {
    this.#meet(server)
    // After `close`, Node itself waits for the connections that the server accepted. So only the others are counted here.
    const isAccepted = (socket as { readonly server?: unknown }).server === server
    if (!isAccepted) this.#addGiven(socket, server)
  }

  #addGiven(socket: Socket, server: Server | undefined): void {
    if (socket.closed) return
    const isNew = !this.#given.has(socket)
    this.#given.set(socket, server)
    if (!isNew) return
    const end = () => {
      this.#given.delete(socket)
      this.#checkEmpty()
    }
    socket.once('close', end)
    // A stream that is not a socket (it stands for a connection of another process) may stay open after its last answer, so
    // 'finish' counts as its end.
    if (!(socket instanceof Socket)) (socket as Duplex).once('finish', end)
  }

  #checkEmpty(): void {
    if (this.#servers.size === 0 && this.#given.size === 0) this.#onEmpty?.()
  }

  #watchConnections(server: Server): void {
    const connections = new Connections(this.now)
    this.#connections.set(server, connections)
    // Over TLS, `bytesRead` of the outer socket includes the handshake: only the inner socket shows whether a request came.
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
    // The server accepts connections from its backlog in the next iteration of the event loop at the earliest.
    if (this.#own.has(server)) setImmediate(() => closeEmptied(server))
    else closeListener(server)
    this.#connections.get(server)?.beginDrain()
  }

  #sweep(): void {
    for (const server of this.#open()) {
      const { keepAliveTimeout } = server as HttpServer
      // In Node, a `keepAliveTimeout` of 0 means no timeout.
      const unusedMs = keepAliveTimeout > 0 ? keepAliveTimeout + KEEP_ALIVE_MARGIN_MS : Infinity
      this.#connections.get(server)?.endIdle({ allFrom: this.#lingerUntil, unusedMs })
    }
    setTimeout(() => this.#sweep(), SWEEP_MS).unref()
  }
}

function holdIdle(server: Server): void {
  if (isHttp1(server)) server.closeIdleConnections = () => undefined
}
