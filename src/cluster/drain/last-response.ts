import { ServerResponse } from 'node:http'
import type { Http2Session } from 'node:http2'
import { clearTimeout, setTimeout } from '../../base/time'

/** Time without a new stream, ms, after which an HTTP/2 client is sent the GOAWAY frame. */
const QUIET_MS = 1000

/**
 * Makes Node write `Connection: close` in this response and end the connection after it, with any framework. Has no
 * effect once the headers have been sent: then the next response on the connection must be marked.
 */
export function markLastResponse(response: ServerResponse): void {
  if (!response.headersSent) response.shouldKeepAlive = false
}

/**
 * From now on, sends `Connection: close` in place of a `Connection: keep-alive` that the application writes itself. Proxies
 * that copy headers write one, and it overrules Node's own header. It is replaced in `writeHead`, because no earlier step
 * sees all headers.
 */
export function overruleKeepAlive(): void {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with the response as `this` below
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

/** Treats the list as one of pairs if its first entry is a list, as Node does; otherwise as names and values in turn. */
function closeInList(list: readonly unknown[]): unknown[] {
  if (Array.isArray(list[0])) return list.map((pair) => (Array.isArray(pair) ? closeInPair(pair) : pair))
  return list.map((each, index) => (index % 2 === 1 ? closeInPair([list[index - 1], each])[1] : each))
}

function closeInPair([name, value]: readonly unknown[]): unknown[] {
  return [name, isKeepAlive(name, value) ? 'close' : value]
}

/** @param value - A text, or a list of texts, as in the `headersDistinct` that a proxy copies. */
function isKeepAlive(name: unknown, value: unknown): boolean {
  if (typeof name !== 'string' || name.toLowerCase() !== 'connection') return false
  const texts: readonly unknown[] = Array.isArray(value) ? value : [value]
  return texts.some((text) => typeof text === 'string' && /\bkeep-alive\b/i.test(text))
}

/**
 * Asks an HTTP/2 client to leave with a GOAWAY frame: streams that have begun are finished, no more are accepted. After
 * a GOAWAY Node refuses every new stream, even one that was on the wire, and the client may send it elsewhere. So the
 * GOAWAY is sent when the next stream begins: a client that waits for an answer is least likely to send another. A
 * client without a new stream gets it after `QUIET_MS`.
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
