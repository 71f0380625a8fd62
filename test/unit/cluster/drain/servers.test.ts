import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { Duplex } from 'node:stream'
import { test, type TestContext } from 'node:test'
import { Doors } from '../../../../src/cluster/drain/servers.js'

/** Doors are for a process, which ends with them: here they are to let go of the next test's servers. */
function watched(t: TestContext): Doors {
  const listen: unknown = Reflect.get(net.Server.prototype, 'listen')
  t.after(() => {
    Reflect.set(net.Server.prototype, 'listen', listen)
    Reflect.deleteProperty(net.Server.prototype, 'emit')
  })
  const doors = new Doors()
  doors.watch()
  return doors
}

function httpServer(t: TestContext): http.Server {
  const server = http.createServer((_request, response) => response.end())
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  return server
}

async function listen(server: net.Server, port = 0): Promise<number> {
  await once(server.listen(port, '127.0.0.1'), 'listening')
  return (server.address() as AddressInfo).port
}

/** Whether it has ended by the next turns of the event loop. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false
  void promise.then(() => (settled = true))
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
  return settled
}

test('a listen() that failed is not waited for', async (t) => {
  const port = await listen(httpServer(t))
  const doors = watched(t)
  const failed = httpServer(t).listen(port, '127.0.0.1')
  const [error] = (await once(failed, 'error')) as [NodeJS.ErrnoException]
  assert.equal(error.code, 'EADDRINUSE')
  assert.equal(await isSettled(doors.close(0)), true)
})

test('one that was tried again, and its connection, are', async (t) => {
  const taken = await listen(httpServer(t))
  const doors = watched(t)
  const server = net.createServer().listen(taken, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'error')
  const client = net.connect(await listen(server), '127.0.0.1')
  t.after(() => client.destroy())
  const [socket] = (await once(server, 'connection')) as [net.Socket]
  const closed = doors.close(0)
  assert.equal(await isSettled(closed), false)
  socket.destroy()
  await closed
})

test('a listen() that completes after the order to close accepts no connection', async (t) => {
  const doors = watched(t)
  const server = httpServer(t).listen(0, '127.0.0.1')
  assert.equal(server.listening, false)
  const closed = doors.close(0)
  await Promise.all([once(server, 'listening'), once(server, 'close'), closed])
  assert.equal(server.listening, false)
})

test('nor does one that is called after it', async (t) => {
  const doors = watched(t)
  await doors.close(0)
  const server = httpServer(t).listen(0, '127.0.0.1')
  await once(server, 'close')
  assert.equal(server.listening, false)
})

test('a server that closes and listens again keeps its listeners, and no more of them', async (t) => {
  const warnings: Error[] = []
  const warn = (warning: Error) => void warnings.push(warning)
  process.on('warning', warn)
  t.after(() => process.off('warning', warn))
  const doors = watched(t)
  const server = httpServer(t)
  const listeners = () =>
    ['listening', 'close', 'session', 'connection'].map((name) => server.listenerCount(name))
  await listen(server)
  const first = listeners()
  for (let round = 0; round < 12; round++) {
    await new Promise((resolve) => server.close(resolve))
    await listen(server)
  }
  assert.deepEqual(listeners(), first)
  assert.deepEqual(warnings, [])
  await Promise.all([once(server, 'close'), doors.close(0)])
})

test('where a server keeps idle connections for ever, an unused one is left for its first request', async (t) => {
  const doors = watched(t)
  const server = httpServer(t)
  server.keepAliveTimeout = 0
  const port = await listen(server)
  const client = net.connect(port, '127.0.0.1')
  t.after(() => client.destroy())
  await once(server, 'connection')
  const lingerMs = 2500
  const closed = doors.close(lingerMs)
  // It would have been ended after the margin alone, 1000 ms.
  await new Promise((resolve) => setTimeout(resolve, 1500))
  client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  const [answer] = (await once(client, 'data')) as [Buffer]
  assert.match(answer.toString(), /^HTTP\/1.1 200/)
  await closed
})

/** A connection that another server accepted, and its client. */
async function accepted(t: TestContext): Promise<readonly [net.Socket, net.Socket]> {
  const door = net.createServer({ pauseOnConnect: true })
  t.after(() => door.close())
  const client = net.connect(await listen(door), '127.0.0.1')
  t.after(() => client.destroy())
  const [socket] = (await once(door, 'connection')) as [net.Socket]
  return [socket, client]
}

for (const [name, wrap] of [
  ['', false],
  [', also where a tracer has wrapped emit() of HTTP servers before', true],
] as const) {
  test(`a connection that the application gives to a server counts until it has ended${name}`, async (t) => {
    if (wrap) {
      // eslint-disable-next-line @typescript-eslint/unbound-method -- called with the server as `this` below
      const { emit } = http.Server.prototype
      http.Server.prototype.emit = function (this: http.Server, ...args: unknown[]) {
        return Reflect.apply(emit, this, args) as boolean
      } as typeof emit
      t.after(() => Reflect.deleteProperty(http.Server.prototype, 'emit'))
    }
    const [socket, client] = await accepted(t)
    const doors = watched(t)
    const server = httpServer(t)
    server.emit('connection', socket)
    socket.resume()
    const closed = doors.close(500)
    assert.equal(await isSettled(closed), false)
    client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    const [answer] = (await once(client, 'data')) as [Buffer]
    assert.match(answer.toString(), /^HTTP\/1.1 200 OK\r\n[^]*Connection: close/)
    await closed
  })
}

test('one that is given later counts too', async (t) => {
  const [socket, client] = await accepted(t)
  const doors = watched(t)
  const server = httpServer(t)
  await doors.close(0)
  server.emit('connection', socket)
  const empty = doors.empty()
  assert.equal(await isSettled(empty), false)
  client.destroy()
  socket.resume()
  await empty
})

test('a stream that is not a socket is served as ever, and one that has ended is not waited for', async (t) => {
  const doors = watched(t)
  const server = net.createServer()
  const [socket] = await accepted(t)
  socket.destroy()
  await once(socket, 'close')
  for (const odd of [socket, undefined, 'text', {}]) assert.equal(server.emit('connection', odd), false)
  assert.equal(await isSettled(doors.close(0)), true)
})

test('a stream that stands for a connection is waited for until its last answer is out', async (t) => {
  const doors = watched(t)
  const server = httpServer(t)
  let answer = ''
  const stream = new Duplex({
    read: () => undefined,
    write: (piece: Buffer, _encoding, done) => {
      answer += String(piece)
      done()
    },
  })
  server.emit('connection', stream)
  const closed = doors.close(60_000)
  assert.equal(await isSettled(closed), false)
  stream.push('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await closed
  assert.match(answer, /^HTTP\/1.1 200 OK\r\n[^]*Connection: close/)
})
