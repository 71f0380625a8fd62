import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import net from 'node:net'
import { describe, test, type TestContext } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { User } from './http-client'
import { RunningCluster } from './running-cluster'

const often = { count: 2, minLifetime: 0, killTimeout: 3000 }

async function start(t: TestContext, kind: string, config: object = {}): Promise<RunningCluster> {
  const running = await RunningCluster.start(t, { start: kind, options: often, ...config })
  await running.allReady()
  return running
}

function draining(running: RunningCluster): Promise<void> {
  return running.until('the drain', () => running.census.mostDraining > 0)
}

/** One user with one keep-alive connection over TLS. */
function tlsUser(t: TestContext, port: number) {
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false })
  t.after(() => agent.destroy())
  return async (path: string) => {
    const req = https.get({ host: '127.0.0.1', port, path, agent })
    const [res] = (await once(req, 'response')) as [IncomingMessage]
    let body = ''
    for await (const text of res.setEncoding('utf8')) body += String(text)
    return { status: res.statusCode, isLast: res.headers.connection === 'close', body }
  }
}

describe('connections of every kind', { concurrency: 3 }, () => {
  for (const kind of ['https', 'h2']) {
    test(`HTTP/1.1 over TLS (${kind}): in flight is answered, idle is served once more, both are asked to leave`, async (t) => {
      const running = await start(t, kind)
      const leaker = tlsUser(t, running.port)
      await leaker('/leak?mb=150')
      await draining(running)
      await wait(500)
      const idle = await leaker('/slow?ms=300')
      assert.deepEqual([idle.status, idle.isLast], [200, true])
      await running.recycled(1)
      assert.equal(running.events('recycled')[0]?.code, 0)
    })
  }

  test('TLS: connections that never carried a request end with the linger', async (t) => {
    const running = await start(t, 'https', { options: { ...often, killTimeout: 1500 } })
    const silent = [1, 2].map(() =>
      https.get({ host: '127.0.0.1', port: running.port, rejectUnauthorized: false }),
    )
    silent.forEach((req) => req.on('error', () => undefined).destroy())
    const tls = await import('node:tls')
    const sockets = [1, 2].map(() =>
      tls.connect({ port: running.port, host: '127.0.0.1', rejectUnauthorized: false }),
    )
    t.after(() => sockets.forEach((socket) => socket.destroy()))
    await Promise.all(sockets.map((socket) => once(socket, 'secureConnect')))
    await tlsUser(t, running.port)('/leak?mb=150')
    await running.recycled(1)
    assert.equal(running.events('recycled')[0]?.code, 0)
  })

  function openSession(t: TestContext, running: RunningCluster, kind: string): http2.ClientHttp2Session {
    const scheme = kind === 'h2' ? 'https' : 'http'
    const session = http2.connect(`${scheme}://127.0.0.1:${running.port}`, { rejectUnauthorized: false })
    t.after(() => session.destroy())
    return session
  }

  async function request(session: http2.ClientHttp2Session, path: string): Promise<string> {
    const stream = session.request({ ':path': path })
    let body = ''
    for await (const text of stream.setEncoding('utf8')) body += String(text)
    return body
  }

  for (const kind of ['h2', 'h2c']) {
    test(`HTTP/2 (${kind}): an idle session is sent GOAWAY soon and ends, the worker goes with code 0`, async (t) => {
      const running = await start(t, kind)
      const session = openSession(t, running, kind)
      const goaway = once(session, 'goaway') as Promise<[code: number]>
      assert.match(await request(session, '/leak?mb=150'), /^leaked/)
      await running.recycled(1)
      assert.equal((await Promise.race([goaway, wait(1000, ['none'])]))[0], 0)
      const [recycled] = running.events('recycled')
      assert.equal(recycled?.code, 0)
      assert.ok(Number(recycled?.ms) < 2000, `gone after ${recycled?.ms} ms`)
    })

    test(`HTTP/2 (${kind}): streams in flight are finished`, async (t) => {
      const running = await start(t, kind)
      const session = openSession(t, running, kind)
      await request(session, '/leak?mb=150')
      const answers = [request(session, '/slow?ms=1000'), request(session, '/stream?n=8&gap=100')]
      const [slow, stream] = await Promise.all(answers)
      assert.match(slow ?? '', /^slow \d+$/)
      assert.match(stream ?? '', /END \d+$/)
      await running.recycled(1)
      assert.equal(running.events('recycled')[0]?.code, 0)
    })

    test(`HTTP/2 (${kind}): a client that opens streams until it is told to leave loses none`, async (t) => {
      const running = await start(t, kind)
      let answered = 0
      const problems: string[] = []
      const until = Date.now() + 3000
      while (Date.now() < until) {
        const session = openSession(t, running, kind)
        let isLeaving = false
        session.on('goaway', () => (isLeaving = true))
        session.on('error', (error: Error) => problems.push(`session ${error.message}`))
        if (answered === 0) await request(session, '/leak?mb=150')
        while (!isLeaving && !session.closed && Date.now() < until) {
          const path = answered % 5 === 0 ? '/slow?ms=20' : '/'
          await request(session, path).then(
            (body) => (/^(ok|slow) \d+$/.test(body) ? (answered += 1) : problems.push(`body ${body}`)),
            (error: unknown) => problems.push(String(error)),
          )
        }
        session.close()
      }
      assert.deepEqual(problems, [])
      await running.recycled(1)
      assert.ok(answered > 50, `${answered} answers`)
      assert.equal(running.events('recycled')[0]?.code, 0)
    })
  }

  async function openWebSocket(t: TestContext, running: RunningCluster): Promise<net.Socket> {
    const socket = net.connect(running.port, '127.0.0.1')
    t.after(() => socket.destroy())
    socket.on('error', () => undefined)
    socket.write('GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    const [head] = (await once(socket, 'data')) as [Buffer]
    assert.match(head.toString(), /^HTTP\/1.1 101/)
    return socket
  }

  async function echo(socket: net.Socket, text: string): Promise<string> {
    socket.write(text)
    const [data] = (await once(socket, 'data')) as [Buffer]
    return data.toString()
  }

  /** On every worker, so that the one that is replaced has one. */
  async function webSockets(t: TestContext, running: RunningCluster): Promise<net.Socket[]> {
    return [await openWebSocket(t, running), await openWebSocket(t, running)]
  }

  test('WebSocket: it works on during the drain and is cut at killTimeout when the application does not end it', async (t) => {
    const running = await start(t, 'http', { options: { ...often, killTimeout: 1500 } })
    const sockets = await webSockets(t, running)
    await new User(t, running.port).get('/leak?mb=150')
    await draining(running)
    assert.deepEqual(await Promise.all(sockets.map((socket) => echo(socket, 'hello'))), ['hello', 'hello'])
    await running.recycled(1)
    const [recycled] = running.events('recycled')
    assert.equal(recycled?.code, 1)
    assert.ok(Number(recycled?.ms) >= 1490)
  })

  test('WebSocket: cleanFunc that ends it lets the worker go at once, with code 0', async (t) => {
    const running = await start(t, 'http', { clean: 'ends' })
    const sockets = await webSockets(t, running)
    const user = new User(t, running.port)
    const ended = Promise.race(sockets.map((socket) => once(socket, 'end')))
    await user.get('/leak?mb=150')
    await draining(running)
    assert.equal((await user.get('/')).isLast, true)
    await ended
    await running.recycled(1)
    assert.equal(running.events('recycled')[0]?.code, 0)
  })

  test('server-sent events: cleanFunc that ends the stream lets the worker go, with code 0', async (t) => {
    const running = await start(t, 'http', { clean: 'ends' })
    const user = new User(t, running.port)
    await user.get('/leak?mb=150')
    const stream = await user.get('/sse')
    assert.match(stream.body, /data: \d+\n\n[^]*event: bye/)
    await running.recycled(1)
    assert.equal(running.events('recycled')[0]?.code, 0)
  })

  test('server-sent events: a stream that the application does not end is cut at killTimeout', async (t) => {
    const running = await start(t, 'http', { options: { ...often, killTimeout: 1500 } })
    const user = new User(t, running.port)
    await user.get('/leak?mb=150')
    await assert.rejects(user.get('/sse'))
    await running.recycled(1)
    assert.equal(running.events('recycled')[0]?.code, 1)
  })

  for (const form of ['set', 'object', 'list', 'pairs']) {
    test(`an application that writes Connection: keep-alive itself (${form}) is overruled while it drains`, async (t) => {
      const running = await start(t, 'http')
      const user = new User(t, running.port)
      const { pid } = await user.get('/leak?mb=150')
      assert.equal((await new User(t, running.port).get(`/keep-alive?form=${form}`)).isLast, false)
      await draining(running)
      const answer = await user.get(`/keep-alive?form=${form}`)
      assert.deepEqual([answer.status, answer.isLast, answer.pid], [200, true, pid])
      await running.recycled(1)
      assert.equal(running.events('recycled')[0]?.code, 0)
    })
  }
})
