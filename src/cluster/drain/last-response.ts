import { ServerResponse } from 'node:http'
import type { Http2Session } from 'node:http2'
import { clearTimeout, setTimeout } from '../../base/time'

/** An HTTP/2 client that opens no stream for this time (ms) is asked to leave without waiting for one. */
const QUIET_MS = 1000

/**
 * Asks an HTTP/1.1 client to leave with this response: Node then writes `Connection: close` and ends the connection after
 * the response, under every framework. Once the headers are out it is too late; the next response on the connection asks.
 */
export function markLastResponse(response: ServerResponse): void {
  if (!response.headersSent) response.shouldKeepAlive = false
}

/**
 * An application that writes `Connection: keep-alive` itself, as proxies that copy headers do, overrules Node. From now on
 * `close` is sent instead. Headers are replaced as they go out, because no earlier place sees all of them.
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
 * Asks an HTTP/2 client to leave: streams that have begun are finished, no more are taken. Once Node has sent a GOAWAY it
 * refuses every new stream, even one that was on the wire; the client may then send it again elsewhere. So the GOAWAY waits
 * for the next stream: a client is least likely to send another while it waits for an answer. A quiet client gets it after
 * `QUIET_MS`.
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
