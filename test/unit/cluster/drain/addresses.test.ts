import assert from 'node:assert/strict'
import { once } from 'node:events'
import net, { type AddressInfo, type Server } from 'node:net'
import { after, test } from 'node:test'
import { addressInWords, isAt, watchShutPlaces } from '../../../../src/cluster/drain/addresses'

const words = (addressType: unknown, address: unknown, port: unknown) =>
  addressInWords({ addressType, address, port })

test('an address names its host and port, file or protocol', () => {
  assert.equal(words(4, null, 8080), '*:8080')
  assert.equal(words(4, '127.0.0.1', 8080), '127.0.0.1:8080')
  assert.equal(words(6, '::1', 8080), '[::1]:8080')
  assert.equal(words(-1, '/run/app.sock', -1), '/run/app.sock')
  assert.equal(words('udp4', null, 53), 'udp4 *:53')
  assert.equal(words(null, null, 3000), '*:3000')
})

test('an address that Node does not report is none', () => {
  const forged = [
    [4, { a: 1 }, 5],
    [4, 5, 5],
    [4, 'x'.repeat(513), 5],
    [4, null, undefined],
    [4, null, { a: 1 }],
    [-1, undefined, 1],
    [-1, null, 1],
    [-1, {}, -1],
    [{}, null, 5],
    ['tcp', null, 5],
    [undefined, null, 5],
  ]
  for (const [type, address, port] of forged) assert.equal(words(type, address, port), undefined)
})

test('a port is that of TCP servers, whole; a path is that of a socket file', () => {
  assert.ok(isAt('*:80', 80))
  assert.ok(isAt('[::1]:80', 80))
  assert.ok(isAt('/run/app.sock', '/run/app.sock'))
  assert.ok(!isAt('*:8080', 80))
  assert.ok(!isAt('udp4 *:53', 53))
  assert.ok(!isAt('/run/app.sock', '/run/ap'))
})

const listen: unknown = Reflect.get(net.Server.prototype, 'listen')
const shut: unknown[] = []
watchShutPlaces((place) => shut.push(place))
after(() => Reflect.set(net.Server.prototype, 'listen', listen))

async function listening(server: Server, port: number, host: string): Promise<number> {
  await once(server.listen(port, host), 'listening')
  return (server.address() as AddressInfo).port
}

test('a port is reported each time the last server on it has closed', async () => {
  const [one, other] = [net.createServer(), net.createServer()]
  const port = await listening(one, 0, '127.0.0.1')
  await listening(other, port, '127.0.0.2')
  await once(one.close(), 'close')
  assert.deepEqual(shut, [])
  await once(other.close(), 'close')
  assert.deepEqual(shut, [port])
  await listening(one, port, '127.0.0.1')
  await once(one.close(), 'close')
  assert.deepEqual(shut, [port, port])
})
