import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { freePort, Sender } from './datagram-client'
import { RunningCluster } from './running-cluster'

const options = { count: 2, minLifetime: 0, killTimeout: 3000 }

describe('UDP', { concurrency: 2 }, () => {
  test('shared: every datagram is answered, however long the answer takes', async (t) => {
    const config = { start: 'udp', bind: { port: await freePort() }, clean: 'answers', leakKb: 512, options }
    const running = await RunningCluster.start(t, { ...config, limit: '120mb' })
    await running.allReady()
    const sender = new Sender(t, config.bind.port)
    await sender.until(() => running.events('recycled').length >= 3)
    await running.until('the last answers', () => sender.answered.size === sender.sent, 10_000)
    assert.ok(running.events('recycled').every(({ code }) => code === 0))
  })

  test('exclusive: what a worker has read is answered before it goes', async (t) => {
    const config = {
      start: 'udp',
      bind: { port: await freePort(), exclusive: true },
      clean: 'answers',
      leakKb: 1,
    }
    const running = await RunningCluster.start(t, { ...config, options: { ...options, count: 1 } })
    await running.allReady()
    const sender = new Sender(t, config.bind.port)
    await sender.until(() => sender.answered.size > 10)
    running.kill('SIGTERM')
    await sender.until(() => running.exit !== undefined)
    const line = running.said.find((each) => each['answered'] === 'stop')
    assert.ok(line, running.story())
    assert.equal(sender.answered.size, line['read'])
    assert.deepEqual(await running.gone(), { code: 0, signal: null })
  })
})
