import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import { resolveUploadOptions } from '../../../../src/hooks/s3/options'
import { findPeers, MOST_ANSWER_BYTES, openStore, type Store } from '../../../../src/hooks/s3/store'

const MB = 1024 * 1024

describe('the store', () => {
  for (const status of [200, 400])
    it(`ends an answer of ${status} that does not end, before it fills the memory`, async (t) => {
      let [sentBytes, most] = [0, 0]
      const { store } = await storeOf(t, (answer) => {
        sentBytes = 0
        answer.writeHead(status, { 'content-type': 'application/xml' })
        const chunk = Buffer.alloc(64 * 1024, '<a/>')
        const more = (): void => {
          // An end, so that a client that takes everything makes the test fail, and not the machine.
          if (sentBytes > 64 * MB) return void answer.end()
          most = Math.max(most, (sentBytes += chunk.length))
          if (answer.write(chunk)) setImmediate(more)
          else answer.once('drain', more)
        }
        more()
      })
      await assert.rejects(put(store))
      // Beyond the limit lies what the kernel holds on the way.
      assert.ok(most < 32 * MB, `${most} bytes were taken`)
    })

  for (const [what, size, code] of [
    ['does not have the SDK parse', MOST_ANSWER_BYTES, 'EMSGSIZE'],
    ['has the SDK parse', MOST_ANSWER_BYTES - 1024, 'AccessDenied'],
  ] as const)
    it(`${what} an error of ${size} bytes that comes in one piece`, async (t) => {
      const { store } = await storeOf(t, (answer) => {
        const error = '<Error><Code>AccessDenied</Code><Message>'
        const end = '</Message></Error>'
        const body = `${error}${'a'.repeat(size - error.length - end.length)}${end}`
        answer.writeHead(403, { 'content-type': 'application/xml', 'content-length': size })
        answer.end(body)
      })
      await assert.rejects(put(store), (error: Error & { code?: string }) => {
        assert.equal(error.code ?? error.name, code)
        return true
      })
    })

  for (const [what, begin] of [
    ['headers', (answer: ServerResponse) => answer.socket?.write('HTTP/1.1 200 OK\r\nX-Slow: ')],
    [
      'a body',
      (answer: ServerResponse) => answer.socket?.write('HTTP/1.1 500 No\r\nContent-Length: 90000\r\n\r\n'),
    ],
  ] as const)
    it(`ends a small request whose answer comes byte by byte in ${what}`, async (t) => {
      const { store } = await storeOf(
        t,
        (answer) => {
          begin(answer)
          const timer = setInterval(() => answer.socket?.write('a'), 50)
          answer.socket?.once('close', () => clearInterval(timer))
        },
        { timeout: 200 },
      )
      const late = { code: 'ETIMEDOUT', message: 'the response did not end within 5.6 s' }
      const asked = what === 'headers' ? [store.find('a'), put(store)] : [put(store)]
      await Promise.all(asked.map((request) => assert.rejects(request, late)))
    })

  it('does not end one whose answer is slow and ends', async (t) => {
    const { store } = await storeOf(
      t,
      (answer) => {
        let bytes = 0
        answer.writeHead(200, { 'content-length': 10 })
        const timer = setInterval(() => {
          answer.write('a')
          if ((bytes += 1) < 10) return
          clearInterval(timer)
          answer.end()
        }, 100)
      },
      { timeout: 5000 },
    )
    await put(store)
    assert.deepEqual(await store.find('a'), {})
  })

  it('takes any number of answers on one connection', async (t) => {
    let connections = 0
    const { store, server } = await storeOf(t, (answer) =>
      answer.end(Buffer.alloc(MOST_ANSWER_BYTES / 2, ' ')),
    )
    server.on('connection', () => (connections += 1))
    for (let number = 0; number < 5; number++) await put(store)
    assert.equal(connections, 1)
  })
})

const put = (store: Store): Promise<void> =>
  store.put({ key: 'a', body: 'content', contentType: 'text/plain', metadata: {} })

async function storeOf(t: TestContext, respond: (answer: ServerResponse) => void, more = {}) {
  const server = createServer((request: IncomingMessage, answer) => {
    answer.on('error', () => undefined)
    request.on('error', () => undefined).resume()
    respond(answer)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const settings = resolveUploadOptions({
    bucket: 'evidence',
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
    ...more,
  })
  const store = openStore(settings, findPeers(), true)
  t.after(() => {
    store.close()
    server.closeAllConnections()
    server.close()
  })
  return { store, server }
}
