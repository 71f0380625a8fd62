'use strict'
// node from-a-thread.js '{"directory","stuckMs","engine"}': dumps ordered from a worker thread over the inspector, as the watchdog does,
// while the main thread sits in one native call for `stuckMs`, then in an endless loop of JavaScript until the dumps are done.
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads')
const { pbkdf2Sync } = require('node:crypto')
const { job } = require('./setup.js')

const GIB = 1024 ** 3
const HOOK = 'orders of from-a-thread'

if (isMainThread) main(JSON.parse(process.argv[2]))
else dumpFromHere(workerData)

function main(options) {
  const { createOrders, runOrder } = require('../../../../dist/capture/main-thread/carry-out.js')
  const { resolveEngines } = require('../../../../dist/capture/engines.js')
  const engines = resolveEngines('builtin', ['cpu', 'memory'])
  const orders = createOrders(engines)
  globalThis[Symbol.for(HOOK)] = (name, input) => runOrder(orders, name, input)
  const done = new Int32Array(new SharedArrayBuffer(8))
  const worker = new Worker(__filename, { workerData: { ...options, engines, done } })
  worker.on('message', (result) => console.log(JSON.stringify(result)))
  worker.on('message', () => void worker.terminate())
  worker.once('online', () => {
    while (Atomics.load(done, 0) === 0) spinInTheMainThread(1)
    if (options.stuckMs) sitInNativeCall(options.stuckMs, done)
    while (Atomics.load(done, 1) === 0) spinInTheMainThread(1000)
  })
}

function spinInTheMainThread(rounds) {
  let x = 0
  for (let i = 0; i < rounds * 1000; i++) x += Math.sqrt(x + i)
  return x
}

/** Long enough for the thread to notice; how long one iteration takes is measured first. */
function sitInNativeCall(ms, done) {
  const startedAt = performance.now()
  pbkdf2Sync('a', 'b', 20_000, 64, 'sha512')
  const perIteration = (performance.now() - startedAt) / 20_000
  Atomics.store(done, 0, 2)
  Atomics.notify(done, 0)
  pbkdf2Sync('a', 'b', Math.ceil(ms / perIteration), 64, 'sha512')
}

async function dumpFromHere({ directory, stuckMs, engines, done }) {
  const { createCpuCapturer } = require('../../../../dist/capture/cpu/capturer.js')
  const { createHeapCapturer } = require('../../../../dist/capture/heap/ladder.js')
  const said = []
  const observer = {
    childAtWork: () => {},
    orderLate: (order) => said.push(`late: ${order}`),
    samplingWasStopped: () => said.push('sampling was stopped'),
    samplingFailed: (error) => said.push(`sampling failed: ${error.message}`),
  }
  const probe = {
    memory: () => ({ availableBytes: 16 * GIB, limitBytes: 32 * GIB }),
    isKilledAsOne: () => false,
    disk: () => Promise.resolve({ freeBytes: 100 * GIB, isMemory: false }),
  }
  const mainThread = { connect: openSession, order }
  const parts = { mainThread, probe, observer }
  const nodeMajor = Number(process.versions.node.split('.')[0])
  const early = new AbortController().signal
  // Nothing that waits in a capture holds its thread: whoever runs captures keeps its own thread alive.
  parentPort.ref()
  try {
    Atomics.store(done, 0, 1)
    if (stuckMs) while (Atomics.load(done, 0) !== 2) Atomics.wait(done, 0, 1, 1000)
    const cpu = createCpuCapturer({ ...parts, engine: engines.cpu })
    const captured = await (await cpu.plan(directory)).take(job(directory, 'cpu', 300), early)
    const heap = createHeapCapturer({ ...parts, engine: engines.memory, sampling: true, nodeMajor })
    const dumped = await (await heap.plan(directory)).take(job(directory, 'memory'), early)
    await heap.close()
    parentPort.postMessage({ captured, dumped, said })
  } catch (error) {
    parentPort.postMessage({ thrown: error.stack })
  }
  Atomics.store(done, 1, 1)
}

function openSession() {
  const { Session } = require('node:inspector')
  const session = new Session()
  session.connectToMainThread()
  return session
}

function order(name, input) {
  const session = openSession()
  const text = JSON.stringify(JSON.stringify(input))
  const expression = `globalThis[Symbol.for(${JSON.stringify(HOOK)})](${JSON.stringify(name)}, ${text})`
  return new Promise((resolve, reject) => {
    session.post('Runtime.evaluate', { expression, returnByValue: true }, (error, answer) => {
      session.disconnect()
      if (error) return reject(error)
      const { output, error: message } = JSON.parse(answer.result.value)
      if (message === undefined) resolve(output)
      else reject(new Error(message))
    })
  })
}
