import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { describe, test, type TestContext } from 'node:test'
import { User } from './http-client'
import { RunningCluster } from './running-cluster'

const often = { count: 2, minLifetime: 0, killTimeout: 3000 }

/** A client that sends requests without waiting for the answers to those before. */
class Pipeline {
  readonly #socket: net.Socket
  readonly #late = { signal: AbortSignal.timeout(15_000) }
  #text = ''

  constructor(t: TestContext, port: number) {
    this.#socket = net.connect(port, '127.0.0.1')
    this.#socket.setEncoding('utf8').on('data', (text: string) => (this.#text += text))
    t.after(() => this.#socket.destroy())
  }

  /** All in one packet. */
  send(...paths: string[]): void {
    this.#socket.write(paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`).join(''))
  }

  /** Each response's `Connection` header, and the words that identify its body. */
  get responses(): { connection: string; body: string }[] {
    const parts = this.#text.split(/(?=HTTP\/1\.1 200 )/)
    return parts.flatMap((part) => {
      const [, connection, body] = /^Connection: (\S+)\r\n[^]*(bye|slow|leaked|freed|ok)/m.exec(part) ?? []
      return connection && body ? [{ connection, body }] : []
    })
  }

  async answered(count: number): Promise<void> {
    while (this.responses.length < count) await once(this.#socket, 'data', this.#late)
  }

  async ended(): Promise<void> {
    if (!this.#socket.readableEnded) await once(this.#socket, 'end', this.#late)
  }
}

async function start(t: TestContext, clean = 'none'): Promise<RunningCluster> {
  const running = await RunningCluster.start(t, { clean, options: often })
  await running.allReady()
  return running
}

const last = (body: string) => ({ connection: 'close', body })
const keptAlive = (body: string) => ({ connection: 'keep-alive', body })

describe('pipelined requests', { concurrency: 3 }, () => {
  test('a worker that serves answers them all, in their order', async (t) => {
    const running = await start(t)
    const client = new Pipeline(t, running.port)
    client.send('/slow?ms=300', '/', '/free')
    await client.answered(3)
    assert.deepEqual(client.responses, ['slow', 'ok', 'freed'].map(keptAlive))
  })

  test('a worker that drains answers the first with `Connection: close`: the client sends the others again, and they are served elsewhere', async (t) => {
    const running = await start(t)
    const client = new Pipeline(t, running.port)
    client.send('/leak?mb=150')
    await running.until('the drain', () => running.census.mostDraining > 0)
    client.send('/slow?ms=300', '/', '/free')
    await client.ended()
    assert.deepEqual(client.responses, [keptAlive('leaked'), last('slow')])
    await running.recycled(1)
    const [recycled] = running.events('recycled')
    assert.equal(recycled?.code, 0)
    const again = await new User(t, running.port).get('/')
    assert.equal(again.status, 200)
    assert.notEqual(again.pid, recycled?.pid)
  })

  test('those that had been answered behind a response under way as the drain began are delivered', async (t) => {
    // The stream ends when the drain begins; its worker has long been done with what came behind it.
    const running = await start(t, 'ends')
    const client = new Pipeline(t, running.port)
    client.send('/sse', '/leak?mb=150', '/')
    await client.ended()
    assert.deepEqual(client.responses, ['bye', 'leaked', 'ok'].map(keptAlive))
    await running.recycled(1)
    assert.equal(running.events('recycled')[0]?.code, 0)
  })
})
