import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RunningCluster } from './running-cluster'
import { checkNothingLost, Clients } from './socket-io'

const CLIENTS = 24

test('socket.io with sticky sessions and cluster adapter: clients come back, no acknowledged message is lost', async (t) => {
  const options = { count: 2, minLifetime: 0, killTimeout: 8000 }
  const config = { limit: '130mb', leakKb: 400, options }
  const running = await RunningCluster.start(t, config, { program: 'socket-io.js' })
  await running.allReady()
  await running.until('the door', () => running.times('door') > 0)
  const port = Number(running.entries.find(({ ev }) => ev === 'door')?.port)
  const clients = new Clients(t, port, CLIENTS, 200)
  await running.recycled(2)
  const result = await clients.end()
  checkNothingLost(running, result)
  assert.ok(result.connects > CLIENTS, 'none had to come back')
  assert.ok(result.said > result.acknowledged.length)
  assert.ok(result.workers > 2)
  assert.ok(
    running.events('recycled').every(({ code }) => code === 0),
    running.story(),
  )
  assert.equal(running.events('crash').length, 0)
})
