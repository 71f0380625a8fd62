import type { ServerResponse } from 'node:http'
import type { Http2Session } from 'node:http2'

/** No stream is refused: a GOAWAY with this id only asks the client to open no more. */
const LAST_POSSIBLE_STREAM = 2 ** 31 - 1

/**
 * Asks an HTTP/1.1 client to leave with this response. Node then writes `Connection: close` and ends the connection after
 * the response, under every framework. Once the headers are out it is too late; the next response on the connection will
 * say it.
 */
export function sayLastResponse(response: ServerResponse): void {
  if (!response.headersSent) response.shouldKeepAlive = false
}

/**
 * Asks an HTTP/2 client to leave. First the notice, which refuses nothing; when the client has answered a PING sent after
 * it, it knows, and every stream that it opened before has arrived: only then is the session closed for new ones.
 */
export function sayGoAway(session: Http2Session): void {
  if (session.destroyed || session.closed) return
  session.goaway(0, LAST_POSSIBLE_STREAM)
  const isSent = session.ping(() => session.close())
  if (!isSent) session.close()
}
