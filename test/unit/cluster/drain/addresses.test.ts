import assert from 'node:assert/strict'
import dgram from 'node:dgram'
import { once } from 'node:events'
import net, { type AddressInfo, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, beforeEach, test } from 'node:test'
import { watchAddresses } from '../../../../src/cluster/drain/addresses'

const listen: unknown = Reflect.get(net.Server.prototype, 'listen')
const bind: unknown = Reflect.get(dgram.Socket.prototype, 'bind')
let seen: string[] = []
watchAddresses({
  listening: (address) => seen.push(`on ${address}`),
  shut: (address) => seen.push(`off ${address}`),
})
beforeEach(() => (seen = []))
after(() => {
  Reflect.set(net.Server.prototype, 'listen', listen)
  Reflect.set(dgram.Socket.prototype, 'bind', bind)
})

/** A report comes after all listeners of the event, Node's own report to the primary among them. */
const reported = () => new Promise((resolve) => void setImmediate(() => setImmediate(resolve)))

async function listening(server: Server, ...target: unknown[]): Promise<number> {
  const begin = server.listen.bind(server) as (...target: unknown[]) => Server
  await once(begin(...target), 'listening')
  await reported()
  return (server.address() as AddressInfo).port
}

async function closed(server: Server): Promise<void> {
  await once(server.close(), 'close')
}

test('a server reports its host and port each time it listens, and each time it has closed', async () => {
  const server = net.createServer()
  const port = await listening(server, 0, '127.0.0.1')
  await closed(server)
  await listening(server, { port, host: '127.0.0.1' })
  await closed(server)
  const address = `127.0.0.1:${port}`
  assert.deepEqual(seen, [`on ${address}`, `off ${address}`, `on ${address}`, `off ${address}`])
})

test('a port is the same place on two hosts only by its number', async () => {
  const [one, other] = [net.createServer(), net.createServer()]
  const port = await listening(one, 0, '127.0.0.1')
  await listening(other, port, '127.0.0.2')
  await closed(one)
  assert.deepEqual(seen, [`on 127.0.0.1:${port}`, `on 127.0.0.2:${port}`, `off 127.0.0.1:${port}`])
  await closed(other)
})

test('a host in IPv6 stands in brackets', async () => {
  const server = net.createServer()
  const port = await listening(server, 0, '::1')
  await closed(server)
  assert.deepEqual(seen, [`on [::1]:${port}`, `off [::1]:${port}`])
})

test('a socket file is reported by its path', async () => {
  const path = join(tmpdir(), `addresses-${process.pid}.sock`)
  const server = net.createServer()
  await listening(server, path)
  await closed(server)
  assert.deepEqual(seen, [`on ${path}`, `off ${path}`])
})

test('a UDP socket is told from a server on the same port', async () => {
  const socket = dgram.createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const { port } = socket.address()
  await reported()
  await once(socket.close(), 'close')
  assert.deepEqual(seen, [`on udp 127.0.0.1:${port}`, `off udp 127.0.0.1:${port}`])
})

test('what does not listen through the primary is left out', async () => {
  const [exclusive, owner, user] = [net.createServer(), net.createServer(), net.createServer()]
  await listening(exclusive, { port: 0, host: '127.0.0.1', exclusive: true })
  await listening(owner, 0, '127.0.0.1')
  seen = []
  await listening(user, Reflect.get(owner, '_handle'))
  const client = dgram.createSocket('udp4')
  client.bind({ port: 0, address: '127.0.0.1', exclusive: true })
  await once(client, 'listening')
  client.close()
  await closed(exclusive)
  assert.deepEqual(seen, [])
  await closed(user)
  await closed(owner)
})

test('a server that could not listen reports nothing', async () => {
  const [holder, late] = [net.createServer(), net.createServer()]
  const port = await listening(holder, 0, '127.0.0.1')
  for (let attempt = 0; attempt < 20; attempt++) await once(late.listen(port, '127.0.0.1'), 'error')
  assert.equal(late.listenerCount('listening'), 1)
  assert.deepEqual(seen, [`on 127.0.0.1:${port}`])
  await closed(holder)
})

test('a UDP socket that an earlier listener closes reports nothing, and throws nothing', async () => {
  const socket = dgram.createSocket('udp4')
  socket.once('listening', () => socket.close())
  socket.bind(0, '127.0.0.1')
  await once(socket, 'close')
  assert.deepEqual(seen, [])
})
