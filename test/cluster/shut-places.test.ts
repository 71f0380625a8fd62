import assert from 'node:assert/strict'
import { once } from 'node:events'
import net, { type AddressInfo, type Server } from 'node:net'
import { after, test } from 'node:test'
import { watchShutPlaces } from '../../dist/cluster/shut-places.js'

const listen: unknown = Reflect.get(net.Server.prototype, 'listen')
const shut: unknown[] = []
watchShutPlaces((place) => shut.push(place))
after(() => Reflect.set(net.Server.prototype, 'listen', listen))

async function listening(server: Server, port: number, host: string): Promise<number> {
  await once(server.listen(port, host), 'listening')
  return (server.address() as AddressInfo).port
}

test('a port is told when the last server there has closed, each time', async () => {
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
