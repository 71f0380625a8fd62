import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import * as gateModule from '../../../src/dispatch/gate.js'

const { Gate, GATE_BYTES } = gateModule
const newMemory = () => new SharedArrayBuffer(GATE_BYTES)

test('lets one in, and the next when that one has left', () => {
  const memory = newMemory()
  const [one, other] = [new Gate(memory), new Gate(memory)]
  assert.equal(one.enter('memory'), true)
  assert.equal(other.enter('memory'), false)
  one.leave()
  assert.equal(other.enter('memory'), true)
})

test('who does not hold it cannot open it', () => {
  const memory = newMemory()
  const [one, other] = [new Gate(memory), new Gate(memory)]
  one.enter('memory')
  other.leave()
  assert.equal(other.enter('memory'), false)
})

test('tells what is being dumped, until it is over', () => {
  const memory = new SharedArrayBuffer(GATE_BYTES)
  const [one, other] = [new Gate(memory), new Gate(memory)]
  assert.equal(other.heldFor, undefined)
  for (const kind of ['cpu', 'memory'] as const) {
    assert.equal(one.enter(kind), true)
    assert.equal(other.heldFor, kind)
    one.leave()
    assert.equal(other.heldFor, undefined)
  }
})

test('a dead holder can be evicted, and only that one', () => {
  const memory = newMemory()
  const [dead, other] = [new Gate(memory), new Gate(memory)]
  dead.enter('memory')
  other.evict(other.id)
  assert.equal(other.isHeld, true)
  other.evict(dead.id)
  assert.equal(other.isHeld, false)
})

test('is not calm while held, nor for a span that reaches into the settling time', () => {
  const gate = new Gate(newMemory())
  assert.equal(gate.isCalm(0), true)
  gate.enter('memory')
  assert.equal(gate.isCalm(1000), false)
  gate.leave(500)
  assert.equal(gate.isCalm(499), false)
  assert.equal(gate.isCalm(500), true)
})

test('leaving without a capture starts no settling time', () => {
  const gate = new Gate(newMemory())
  gate.enter('memory')
  gate.leave()
  assert.equal(gate.isCalm(0), true)
})

test('every gate of the process sees that the main thread is at an order, until the last has ended, even by an error', () => {
  const memory = newMemory()
  const [main, thread] = [new Gate(memory), new Gate(memory)]
  assert.equal(thread.isMainThreadAtOrder, false)
  const output = main.duringOrder(() => {
    assert.throws(() =>
      main.duringOrder(() => {
        throw new Error('the order failed')
      }),
    )
    assert.equal(thread.isMainThreadAtOrder, true)
    return 'done'
  })
  assert.equal(output, 'done')
  assert.equal(thread.isMainThreadAtOrder, false)
  assert.equal(thread.isHeld, false)
})

test('threads that race for it never enter together', async () => {
  const memory = newMemory()
  const seen = new SharedArrayBuffer(8)
  const program = `
    const { workerData } = require('node:worker_threads')
    const { Gate } = require(workerData.path)
    const gate = new Gate(workerData.memory)
    const seen = new Int32Array(workerData.seen)
    for (let entered = 0; entered < 2000; ) {
      if (!gate.enter('memory')) continue
      if (Atomics.add(seen, 0, 1) !== 0) Atomics.add(seen, 1, 1)
      Atomics.sub(seen, 0, 1)
      gate.leave()
      entered++
    }`
  const workerData = { path: require.resolve('../../../dist/dispatch/gate.js'), memory, seen }
  await Promise.all(
    [1, 2].map(
      () =>
        new Promise((resolve, reject) => {
          const worker = new Worker(program, { eval: true, workerData })
          worker.once('error', reject)
          worker.once('exit', resolve)
        }),
    ),
  )
  assert.equal(new Int32Array(seen)[1], 0)
})
