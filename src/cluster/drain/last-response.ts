import { ServerResponse } from 'node:http'
import type { Http2Session } from 'node:http2'
import { clearTimeout, setTimeout } from '../../base/time'

/** Time without a new stream, ms, after which a draining worker sends an HTTP/2 client the GOAWAY frame. */
const QUIET_MS = 1000

/**
 * Makes Node write `Connection: close` in this response and end the connection after it, whatever framework is used. Has no
 * effect once the headers have been sent: then the next response on the connection must be marked.
 */
export function markLastResponse(response: ServerResponse): void {
  if (!response.headersSent) response.shouldKeepAlive = false
}

/**
 * From now on, sends `Connection: close` in place of a `Connection: keep-alive` that the application writes itself. Proxies
 * that copy headers write one, and it overrules Node's own header. `writeHead` replaces it, because no earlier function sees
 * all headers.
 */
export function overruleKeepAlive(): void {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with the response as `this` below
  const { writeHead } = ServerResponse.prototype
  ServerResponse.prototype.writeHead = function (this: ServerResponse, ...args: unknown[]): ServerResponse {
    if (isKeepAlive('connection', this.getHeader('connection'))) this.setHeader('Connection', 'close')
    return Reflect.apply(writeHead, this, args.map(closeInHeaders)) as ServerResponse
  } as typeof writeHead
}

/**
 * Replaces the value `keep-alive` of the header `Connection` by `close`.
 *
 * @param given - An argument of `writeHead`. Headers are an object, a list of pairs, or a list of names and values in turn;
 * status and reason are returned as they are.
 */
function closeInHeaders(given: unknown): unknown {
  if (Array.isArray(given)) return closeInList(given)
  if (typeof given !== 'object' || given === null) return given
  const headers: Record<string, unknown> = { ...given }
  for (const [name, value] of Object.entries(headers)) if (isKeepAlive(name, value)) headers[name] = 'close'
  return headers
}

/**
 * Replaces the value `keep-alive` of `Connection` in a list of headers. As in Node, the list is one of pairs if its first
 * entry is a list; otherwise names and values alternate.
 */
function closeInList(list: readonly unknown[]): unknown[] {
  if (Array.isArray(list[0])) return list.map((pair) => (Array.isArray(pair) ? closeInPair(pair) : pair))
  return list.map((each, index) => (index % 2 === 1 ? closeInPair([list[index - 1], each])[1] : each))
}

function closeInPair([name, value]: readonly unknown[]): unknown[] {
  return [name, isKeepAlive(name, value) ? 'close' : value]
}

/**
 * Whether a header is `Connection` with the value `keep-alive`.
 *
 * @param value - A text, or a list of texts, as in the `headersDistinct` that a proxy copies.
 */
function isKeepAlive(name: unknown, value: unknown): boolean {
  if (typeof name !== 'string' || name.toLowerCase() !== 'connection') return false
  const texts: readonly unknown[] = Array.isArray(value) ? value : [value]
  return texts.some((text) => typeof text === 'string' && /\bkeep-alive\b/i.test(text))
}

/**
 * Sends an HTTP/2 client a GOAWAY frame, which asks it to end the connection: streams that have begun are finished, no more
 * are accepted. After a GOAWAY Node refuses every new stream, even one that was on the wire, and the client may send its
 * request to another worker. So the GOAWAY is sent when the next stream begins: a client that waits for an answer is least
 * likely to begin another stream. A client that begins no stream gets the GOAWAY after 1000 ms.
 */
export function sendGoAway(session: Http2Session): void {
  if (session.destroyed || session.closed) return
  const leave = () => {
    clearTimeout(timer)
    session.off('stream', leave)
    session.close()
  }
  const timer = setTimeout(leave, QUIET_MS).unref()
  session.on('stream', leave)
}
