import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import { Pod } from './pod'

/** A server that gives one answer to all that is sent to it, and counts its connections. */
async function serverThatSays(t: TestContext, answer: string) {
  const seen = { url: '', connections: 0 }
  const server = createServer((socket) => {
    seen.connections += 1
    socket.on('error', () => undefined).on('data', () => socket.write(answer))
    t.after(() => socket.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  seen.url = `redis://127.0.0.1:${(server.address() as AddressInfo).port}`
  return seen
}

/** The parser of this client calls itself for each nested list. */
const client = 'iovalkey'
const watchLines = (pod: Pod) =>
  pod.program.said.map(({ text }) => String(text)).filter((text) => text.startsWith('watching'))

describe('a Redis whose answer', () => {
  it('ends the thread that asks is not asked by the main thread, which dumps by its limiter', async (t) => {
    const redis = await serverThatSays(t, '*1\r\n'.repeat(20_000))
    const pod = new Pod(t, { fleet: { url: redis.url, service: 'shop', client } })
    await pod.dumped(2)
    assert.equal(redis.connections, 1)
    assert.deepEqual(
      pod.failures.map(({ stage }) => stage),
      ['watchdog', 'fleet'],
    )
    assert.match(pod.failures[1]?.message ?? '', /is no longer asked by this process/)
    assert.deepEqual(
      watchLines(pod).map((text) => text.includes('counted in Redis')),
      [true, false],
    )
    assert.equal(pod.program.stderr, '')
  })

  it('is an error alone leaves the thread and the budget as they are', async (t) => {
    const redis = await serverThatSays(t, '-ERR on purpose\r\n')
    const pod = new Pod(t, { fleet: { url: redis.url, service: 'shop', client } })
    await pod.dumped(2)
    assert.deepEqual(
      pod.failures.map(({ stage }) => stage),
      ['fleet'],
    )
    assert.match(pod.failures[0]?.message ?? '', /cannot be used: .*; until it can, /)
    assert.deepEqual(
      watchLines(pod).map((text) => text.includes('counted in Redis')),
      [true],
    )
  })
})
