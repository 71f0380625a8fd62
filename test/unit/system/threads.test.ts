import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import type { WorkerBirth } from '../../../src/base/thread-figures'
import {
  listThreads,
  mainThreadId,
  ownThreadId,
  readThreadTimes,
  threadName,
} from '../../../src/system/threads'
import { watchWorkerBirths } from '../../../src/system/worker-births'

const isLinux = process.platform === 'linux'
const skip = isLinux ? false : 'needs /proc'

/** A worker that says which thread it runs on. */
function newWorker() {
  const text = `
    const { readlinkSync } = require('node:fs')
    require('node:worker_threads').parentPort.postMessage(readlinkSync('/proc/thread-self'))`
  return new Worker(text, { eval: true })
}

test('the main thread has the number of the process, and is the one that runs here', { skip }, () => {
  assert.equal(mainThreadId(), process.pid)
  assert.equal(ownThreadId(), process.pid)
  assert.ok(listThreads().includes(process.pid))
  assert.equal(typeof threadName(process.pid), 'string')
  assert.equal(threadName(0), undefined)
})

test('the times of the threads are that of the process', { skip }, () => {
  for (const end = Date.now() + 200; Date.now() < end;);
  const sum = readThreadTimes().reduce((total, { cpuMs }) => total + cpuMs, 0)
  const { user, system } = process.cpuUsage()
  const whole = (user + system) / 1000
  // Threads that have ended count for the process alone.
  assert.ok(sum > whole / 2 && sum < whole * 1.1, `${sum} of ${whole} ms`)
})

test('each of several workers started at once is connected with its own thread', { skip }, async (t) => {
  const births: WorkerBirth[] = []
  const stop = watchWorkerBirths((birth) => births.push(birth))
  t.after(stop)
  const workers = [newWorker(), newWorker(), newWorker()]
  const ids = workers.map(({ threadId }) => threadId)
  const messages = await Promise.all(workers.map((worker) => once(worker, 'message')))
  const tids = messages.map(([link]) => Number(String(link).split('/').at(-1)))
  assert.deepEqual(
    births.map(({ tid, id }) => [id, tid]),
    ids.map((id, at) => [id, tids[at]]),
  )
})

test('after the stop no worker is seen', { skip }, async () => {
  const births: WorkerBirth[] = []
  watchWorkerBirths((birth) => births.push(birth))()
  await once(newWorker(), 'exit')
  assert.deepEqual(births, [])
})
