import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { request } from 'node:http'
import type { Socket } from 'node:net'

/** Attaches to `--inspect` as DevTools does. Node 20 has no WebSocket client, and sending one short frame is little. */
export async function attachDebugger(url: string): Promise<{ send(method: string): void; end(): void }> {
  const { hostname, port, pathname } = new URL(url)
  const upgrade = request({
    hostname,
    port,
    path: pathname,
    headers: {
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
    },
  })
  upgrade.end()
  const [, socket] = (await once(upgrade, 'upgrade')) as [unknown, Socket]
  socket.on('error', () => undefined)
  socket.resume()
  let id = 0
  return {
    send: (method) => void socket.write(textFrame(JSON.stringify({ id: ++id, method }))),
    end: () => void socket.destroy(),
  }
}

/** One masked text frame of less than 126 bytes. */
function textFrame(text: string): Buffer {
  const payload = Buffer.from(text)
  const mask = randomBytes(4)
  return Buffer.concat([
    Buffer.from([0x81, 0x80 | payload.length]),
    mask,
    payload.map((byte, at) => byte ^ (mask[at % 4] as number)),
  ])
}
