import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { Connections } from '../../../../src/cluster/drain/connections.js'

class FakeSocket extends EventEmitter {
  bytesRead = 0
  isDestroyed = false

  destroy(): void {
    this.isDestroyed = true
    this.emit('close')
  }
}

function stage() {
  const clock = { now: 0 }
  const connections = new Connections(() => clock.now)
  const connect = () => {
    const socket = new FakeSocket()
    connections.add(socket as unknown as Socket)
    return socket
  }
  const answer = (socket: FakeSocket) => {
    socket.bytesRead += 100
    connections.beginResponse(socket as unknown as Socket)
    connections.endResponse(socket as unknown as Socket)
  }
  const sweep = (allFrom: number) => connections.endIdle({ allFrom, unusedMs: 6000 })
  return { clock, connections, connect, answer, sweep }
}

test('an idle connection is left alone during the linger and ended after it', () => {
  const { clock, connect, answer, sweep } = stage()
  const socket = connect()
  answer(socket)
  clock.now = 999
  sweep(1000)
  assert.equal(socket.isDestroyed, false)
  clock.now = 1000
  sweep(1000)
  assert.equal(socket.isDestroyed, true)
})

test('one that has just become idle is left for its next request', () => {
  const { clock, connect, answer, sweep } = stage()
  const socket = connect()
  clock.now = 900
  answer(socket)
  clock.now = 1099
  sweep(1000)
  assert.equal(socket.isDestroyed, false)
  clock.now = 1100
  sweep(1000)
  assert.equal(socket.isDestroyed, true)
})

test('one with a response under way, or on which a request is arriving, is left alone', () => {
  const { clock, connections, connect, answer, sweep } = stage()
  const busy = connect()
  busy.bytesRead = 100
  connections.beginResponse(busy as unknown as Socket)
  const arriving = connect()
  answer(arriving)
  arriving.bytesRead += 1
  clock.now = 100_000
  sweep(1000)
  assert.deepEqual([busy.isDestroyed, arriving.isDestroyed], [false, false])
})

test('one that never carried a byte is ended when its time has passed since the drain began', () => {
  const { clock, connections, connect, sweep } = stage()
  const socket = connect()
  clock.now = 50_000
  connections.beginDrain()
  clock.now = 55_999
  sweep(Infinity)
  assert.equal(socket.isDestroyed, false)
  clock.now = 56_000
  sweep(Infinity)
  assert.equal(socket.isDestroyed, true)
})
