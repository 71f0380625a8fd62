import { ServerResponse } from 'node:http'
import type { Http2Session } from 'node:http2'
import { clearTimeout, setTimeout } from '../time/timers'

/** An HTTP/2 client that opens no stream for so long is asked to leave without waiting for one, ms. */
const QUIET_MS = 1000

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
 * Asks an HTTP/2 client to leave: streams that have begun are finished, no more are taken. Node's HTTP/2 takes no stream
 * once it has sent a GOAWAY, not even one that was on its way: the client learns that it was refused, and may send it
 * again. So the GOAWAY waits for the next stream, while whose answer is still to come a client is least likely to send
 * another; a quiet one is told a little later.
 */
export function sayGoAway(session: Http2Session): void {
  if (session.destroyed || session.closed) return
  const leave = () => {
    clearTimeout(timer)
    session.off('stream', leave)
    session.close()
  }
  const timer = setTimeout(leave, QUIET_MS).unref()
  session.on('stream', leave)
}
