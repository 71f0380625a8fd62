import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import type { Session } from 'node:inspector'
import { test, type TestContext } from 'node:test'
import { Worker } from 'node:worker_threads'
import { openLocalSession } from '../../../../src/capture/main-thread/local-session'
import { listWorkers } from '../../../../src/capture/threads/list-workers'

const never = new AbortController().signal
const mainThread = { connect: openLocalSession }

const READY = "; require('node:worker_threads').parentPort.postMessage('ready')"

async function startWorker(t: TestContext, text: string, name?: string, ready = READY) {
  const worker = new Worker(text + ready, {
    eval: true,
    ...(name === undefined ? {} : { name }),
  })
  t.after(() => worker.terminate())
  await once(worker, 'message')
  return worker.threadId
}

const BUFFER_BYTES = 64 * 1024 * 1024
const IDLE = 'setInterval(() => {}, 1000)'
const NESTED = IDLE + READY

test('lists workers with their names and heaps, those of workers too', async (t) => {
  const plain = await startWorker(t, IDLE)
  const large = await startWorker(
    t,
    `const kept = Array.from({ length: 200_000 }, (_, at) => ({ at })); ${IDLE}; globalThis.kept = kept`,
    'cache [2]\nline',
  )
  await startWorker(
    t,
    `const { parentPort, Worker } = require('node:worker_threads')
     const nested = new Worker(${JSON.stringify(NESTED)}, { eval: true, name: 'nested' })
     nested.once('message', () => parentPort.postMessage('ready'))`,
    undefined,
    '',
  )
  const { workers: listed, main } = await listWorkers(mainThread, never)
  assert.ok(main && main.heapTotal >= main.heapUsed && main.external >= main.arrayBuffers)
  const byId = new Map(listed.map((worker) => [worker.id, worker]))
  assert.equal(byId.get(plain)?.name, '')
  assert.equal(byId.get(large)?.name, 'cache [2]\nline')
  const heapOf = (id: number) => byId.get(id)?.memory?.heapUsed ?? 0
  assert.ok(heapOf(large) > heapOf(plain))
  assert.ok(listed.some(({ name }) => name === 'nested'))
  assert.ok(
    listed.every(({ memory }) => memory && memory.heapUsed > 0 && memory.heapTotal >= memory.heapUsed),
  )
})

test('lists what the objects of a worker own outside of its heap', async (t) => {
  const plain = await startWorker(t, IDLE)
  const cache = await startWorker(t, `globalThis.kept = Buffer.alloc(${BUFFER_BYTES}, 1); ${IDLE}`)
  const { workers } = await listWorkers(mainThread, never)
  const outsideOf = (wanted: number) => workers.find(({ id }) => id === wanted)?.memory
  for (const kind of ['external', 'arrayBuffers'] as const) {
    assert.ok((outsideOf(cache)?.[kind] ?? 0) >= BUFFER_BYTES)
    assert.ok((outsideOf(plain)?.[kind] ?? Infinity) < BUFFER_BYTES)
  }
})

test('a worker whose process.memoryUsage the application has replaced is listed without its memory', async (t) => {
  const id = await startWorker(t, `process.memoryUsage = () => { throw new Error('not here') }; ${IDLE}`)
  const { workers } = await listWorkers(mainThread, never)
  assert.deepEqual(
    workers.find((worker) => worker.id === id),
    { id, name: '' },
  )
})

test('a main thread that does not answer is not waited for once the list is worth nothing', async () => {
  let isOpen = true
  const silent = Object.assign(new EventEmitter(), {
    post: () => undefined,
    disconnect: () => void (isOpen = false),
  }) as unknown as Session
  const early = new AbortController()
  const list = listWorkers({ connect: () => silent }, early.signal)
  early.abort()
  assert.deepEqual(await list, { workers: [] })
  assert.equal(isOpen, false)
})

test('what an application has put in the place of process.memoryUsage is not believed', async (t) => {
  await startWorker(t, IDLE)
  t.mock.method(process, 'memoryUsage', () => ({ heapUsed: 'much' }) as never)
  assert.deepEqual(Object.keys(await listWorkers(mainThread, never)), ['workers'])
})

test('without an inspector the list is empty', async () => {
  const refuses = {
    connect(): never {
      throw new Error('no inspector')
    },
  }
  assert.deepEqual(await listWorkers(refuses, never), { workers: [] })
})
