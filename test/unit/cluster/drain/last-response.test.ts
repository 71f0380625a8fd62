import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import net, { type AddressInfo } from 'node:net'
import { before, test, type TestContext } from 'node:test'
import { overruleKeepAlive, sendGoAway } from '../../../../src/cluster/drain/last-response'

const TYPES = { headers: 1, rstStream: 3, settings: 4, goaway: 7 }
const END_STREAM_AND_HEADERS = 5

/** `GET http /`, three entries of the table that every HTTP/2 peer knows, and an authority `x`. */
const GET_ROOT = Buffer.from([0x82, 0x86, 0x84, 0x01, 0x01, 0x78])

interface Frame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

function toBytes({ type, flags, stream, payload }: Frame): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** A client of single frames: it sends what a real client sends only at an unlucky moment. */
class FrameClient {
  readonly #socket: net.Socket
  #rest = Buffer.alloc(0)

  constructor(t: TestContext, port: number, onFrame: (frame: Frame) => void) {
    this.#socket = net.connect(port, '127.0.0.1')
    t.after(() => this.#socket.destroy())
    this.#socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
    this.send({ type: TYPES.settings, flags: 0, stream: 0, payload: Buffer.alloc(0) })
    this.#socket.on('data', (bytes) => {
      this.#rest = Buffer.concat([this.#rest, bytes])
      for (let frame = this.#next(); frame; frame = this.#next()) onFrame(frame)
    })
  }

  /** All in one piece. */
  send(...frames: readonly Frame[]): void {
    this.#socket.write(Buffer.concat(frames.map(toBytes)))
  }

  #next(): Frame | undefined {
    if (this.#rest.length < 9) return undefined
    const end = 9 + this.#rest.readUIntBE(0, 3)
    if (this.#rest.length < end) return undefined
    const bytes = this.#rest.subarray(0, end)
    this.#rest = this.#rest.subarray(end)
    const [type = 0, flags = 0] = bytes.subarray(3)
    return { type, flags, stream: bytes.readUInt32BE(5), payload: Buffer.from(bytes.subarray(9)) }
  }
}

interface Served {
  readonly port: number
  readonly session: Promise<http2.Http2Session>
}

async function listen(t: TestContext): Promise<Served> {
  const server = http2.createServer((_req, res) => res.end('served'))
  const session = once(server, 'session').then(([each]) => each as http2.Http2Session)
  t.after(() => server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, session }
}

function askOn(stream: number): Frame {
  return { type: TYPES.headers, flags: END_STREAM_AND_HEADERS, stream, payload: GET_ROOT }
}

test('HTTP/2: a request that crosses the farewell is served, and the GOAWAY comes with it', async (t) => {
  const { port, session } = await listen(t)
  const heard: Frame[] = []
  const client = new FrameClient(t, port, (frame) => {
    heard.push(frame)
    if (frame.type === TYPES.headers && frame.stream === 1) client.send(askOn(3))
  })
  const served = await session
  served.once('stream', () => setImmediate(() => sendGoAway(served)))
  client.send(askOn(1))
  await once(served, 'close')
  const goaway = heard.find(({ type }) => type === TYPES.goaway)
  assert.equal(goaway?.payload.readUInt32BE(0), 3)
  assert.ok(heard.some(({ type, stream }) => type === TYPES.headers && stream === 3))
  assert.equal(heard.filter(({ type }) => type === TYPES.rstStream).length, 0)
})

test('HTTP/2: a quiet client is asked to leave as well', async (t) => {
  const { port, session } = await listen(t)
  const heard: number[] = []
  new FrameClient(t, port, ({ type }) => heard.push(type))
  const served = await session
  sendGoAway(served)
  await once(served, 'close')
  assert.ok(heard.includes(TYPES.goaway))
})

/** The header lines of a response whose application calls `writeHead` with these headers. */
async function sentWith(t: TestContext, headers: unknown): Promise<readonly string[]> {
  const server = http.createServer((_req, res) => {
    res.sendDate = false
    res.writeHead(200, headers as http.OutgoingHttpHeaders)
    res.end()
  })
  t.after(() => server.close())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  const [response] = (await once(http.get({ host: '127.0.0.1', port, agent: false }), 'response')) as [
    http.IncomingMessage,
  ]
  const lines: string[] = []
  for (let i = 0; i < response.rawHeaders.length; i += 2) {
    lines.push(`${response.rawHeaders[i]}: ${response.rawHeaders[i + 1]}`)
  }
  response.resume()
  return lines.filter((line) => !line.startsWith('Transfer-Encoding'))
}

before(overruleKeepAlive)

for (const [form, headers, expected] of [
  [
    'a flat list with a list as value',
    ['Set-Cookie', ['a=1', 'b=2', 'c=3'], 'Connection', 'keep-alive'],
    ['Set-Cookie: a=1', 'Set-Cookie: b=2', 'Set-Cookie: c=3', 'Connection: close'],
  ],
  [
    'a flat list with a list of one as value',
    ['Set-Cookie', ['a=1'], 'Connection', 'keep-alive'],
    ['Set-Cookie: a=1', 'Connection: close'],
  ],
  [
    'a flat list in which a value is called like the header',
    ['Vary', 'connection', 'Keep-Alive', 'timeout=5', 'Connection', 'close'],
    ['Vary: connection', 'Keep-Alive: timeout=5', 'Connection: close'],
  ],
  [
    'a list of pairs',
    [
      ['Set-Cookie', ['a=1', 'b=2', 'c=3']],
      ['Connection', 'keep-alive'],
    ],
    ['Set-Cookie: a=1', 'Set-Cookie: b=2', 'Set-Cookie: c=3', 'Connection: close'],
  ],
  [
    'lists as values, as a proxy copies `headersDistinct`',
    { 'Set-Cookie': ['a=1', 'b=2', 'c=3'], Connection: ['keep-alive'] },
    ['Set-Cookie: a=1', 'Set-Cookie: b=2', 'Set-Cookie: c=3', 'Connection: close'],
  ],
] as const) {
  test(`HTTP/1.1: keep-alive that the application writes is overruled, the other headers stay: ${form}`, async (t) => {
    assert.deepEqual(await sentWith(t, headers), expected)
  })
}
