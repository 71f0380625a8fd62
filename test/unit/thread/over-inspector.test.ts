import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { MessageChannel } from 'node:worker_threads'
import { loadLate } from '../../../src/base/late'
import type { OrderTable } from '../../../src/capture/main-thread/carry-out'
import { causeOf, createOrderHook, type PostedOrder } from '../../../src/thread/over-inspector'
import { programEnvironment } from '../../harness/program'

const MANY_ORDERS = resolve(__dirname, '../../e2e/thread/programs/many-orders.js')

test('orders leave nothing in the heap of the main thread, and each has its own answer', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', MANY_ORDERS, '60'], {
    env: programEnvironment(),
    timeout: 60_000,
  })
  const { bytesPerOrder } = JSON.parse(stdout) as { bytesPerOrder: number }
  // V8 keeps the text of what the inspector evaluates: each order was 4000 bytes long, written down twice.
  assert.ok(bytesPerOrder < 2000, `${bytesPerOrder} bytes per order`)
})

test('the cause of a failed evaluation is the error, and never the bare word "Uncaught"', () => {
  const details = { exceptionId: 1, text: 'Uncaught', lineNumber: 0, columnNumber: 0 }
  const description = 'TypeError: Cannot read properties of undefined\n    at <anonymous>:1:58'
  assert.equal(
    causeOf({ ...details, exception: { type: 'object', description } }),
    'TypeError: Cannot read properties of undefined',
  )
  assert.equal(causeOf({ ...details, exception: { type: 'string', value: 'thrown' } }), 'thrown')
  assert.equal(causeOf({ ...details, text: 'Execution was terminated' }), 'Execution was terminated')
})

test('an order that interrupts the loading of late code is kept, and carried out when it is sent again', (t) => {
  const { port1, port2 } = new MessageChannel()
  t.after(() => port1.close())
  const orders = { heapStatistics: () => ({ usedBytes: 7 }) } as Partial<OrderTable> as OrderTable
  const hook = createOrderHook(() => orders, port1)
  const posted: PostedOrder = { slot: 0, name: 'heapStatistics', input: '{}' }
  port2.postMessage(posted)
  loadLate(() => assert.deepEqual(JSON.parse(hook(0)), { isLoading: true }))
  assert.deepEqual(JSON.parse(hook(0)), { output: { usedBytes: 7 } })
  assert.match(hook(0), /did not arrive/)
})
