import { ServerResponse } from 'node:http'
import type { Http2Session } from 'node:http2'

/** No stream is refused: a GOAWAY with this id only asks the client to open no more. */
const LAST_POSSIBLE_STREAM = 2 ** 31 - 1

/** So long may a client take to read the notice, ms. */
const NOTICE_MS = 1000

/**
 * Asks an HTTP/1.1 client to leave with this response. Node then writes `Connection: close` and ends the connection after
 * the response, under every framework. Once the headers are out it is too late; the next response on the connection will
 * say it.
 */
export function sayLastResponse(response: ServerResponse): void {
  if (!response.headersSent) response.shouldKeepAlive = false
}

/**
 * An application that writes `Connection: keep-alive` itself, as proxies that copy headers do, overrules Node. From now on
 * it says `close`. Headers are looked at as they go out, because no earlier place sees all of them.
 */
export function overruleKeepAlive(): void {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- it is applied to the response that it is called on
  const { writeHead } = ServerResponse.prototype
  ServerResponse.prototype.writeHead = function (this: ServerResponse, ...args: unknown[]): ServerResponse {
    if (isKeepAlive('connection', this.getHeader('connection'))) this.setHeader('Connection', 'close')
    return Reflect.apply(writeHead, this, args.map(closeInHeaders)) as ServerResponse
  } as typeof writeHead
}

/** @param given - An argument of `writeHead`: status, reason, or headers as an object, a flat list or a list of pairs. */
function closeInHeaders(given: unknown): unknown {
  if (Array.isArray(given)) return closeInList(given)
  if (typeof given !== 'object' || given === null) return given
  const headers: Record<string, unknown> = { ...given }
  for (const [name, value] of Object.entries(headers)) if (isKeepAlive(name, value)) headers[name] = 'close'
  return headers
}

function closeInList(list: readonly unknown[]): unknown[] {
  return list.map((each, index): unknown => {
    if (!Array.isArray(each)) return isKeepAlive(list[index - 1], each) ? 'close' : each
    const [name, value] = each as unknown[]
    return [name, isKeepAlive(name, value) ? 'close' : value]
  })
}

function isKeepAlive(name: unknown, value: unknown): boolean {
  return (
    typeof name === 'string' &&
    name.toLowerCase() === 'connection' &&
    typeof value === 'string' &&
    /\bkeep-alive\b/i.test(value)
  )
}

/**
 * Asks an HTTP/2 client to leave. First the notice, which refuses nothing; when the client has answered a PING sent after
 * it, it knows, and every stream that it opened before has arrived: only then is the session closed for new ones. Node's
 * own client reads no more once it has the notice and nothing under way, so there is a time limit as well.
 */
export function sayGoAway(session: Http2Session): void {
  if (session.destroyed || session.closed) return
  session.goaway(0, LAST_POSSIBLE_STREAM)
  const close = () => session.close()
  session.ping(close)
  setTimeout(close, NOTICE_MS).unref()
}
