'use strict'
// node from-a-thread.js '{"directory","isStuck"}': dumps ordered from a worker thread over the inspector, as the watchdog does,
// while the main thread spins in JavaScript; with `isStuck` it is first in one native call, until the thread reports it late.
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads')
const { execFileSync } = require('node:child_process')
const { closeSync, constants, openSync } = require('node:fs')
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
  const fifo = options.isStuck ? `${options.directory}/fifo` : undefined
  if (fifo) execFileSync('mkfifo', [fifo])
  const worker = new Worker(__filename, { workerData: { ...options, engines, done, fifo } })
  worker.on('message', (result) => console.log(JSON.stringify(result)))
  worker.on('message', () => void worker.terminate())
  worker.once('online', () => {
    while (Atomics.load(done, 0) === 0) spinInTheMainThread(1)
    // One native call: it ends when the thread closes the FIFO.
    if (fifo) execFileSync('cat', [fifo])
    while (Atomics.load(done, 1) === 0) spinInTheMainThread(1000)
  })
}

function spinInTheMainThread(rounds) {
  let x = 0
  for (let i = 0; i < rounds * 1000; i++) x += Math.sqrt(x + i)
  return x
}

/** @returns The FIFO for writing, as soon as the main thread's command reads it: from then on that thread is stuck. */
function openOnceRead(fifo) {
  const nothing = new Int32Array(new SharedArrayBuffer(4))
  for (;;) {
    try {
      return openSync(fifo, constants.O_WRONLY | constants.O_NONBLOCK)
    } catch (error) {
      if (error.code !== 'ENXIO') throw error
      Atomics.wait(nothing, 0, 0, 10)
    }
  }
}

async function dumpFromHere({ directory, engines, done, fifo }) {
  const { createCpuCapturer } = require('../../../../dist/capture/cpu/capturer.js')
  const { createHeapCapturer } = require('../../../../dist/capture/heap/ladder.js')
  const said = []
  let stuckOn
  const observer = {
    childAtWork: () => {},
    orderLate: (order) => {
      said.push(`late: ${order}`)
      if (stuckOn !== undefined) closeSync(stuckOn)
      stuckOn = undefined
    },
    samplingWasStopped: () => said.push('sampling was stopped'),
    samplingFailed: (error) => said.push(`sampling failed: ${error.message}`),
  }
  const probe = {
    memory: () => ({ availableBytes: 16 * GIB, limitBytes: 32 * GIB }),
    isKilledAsOne: () => false,
    disk: () => Promise.resolve({ freeBytes: 100 * GIB, isMemory: false }),
  }
  // This main thread does not return to its event loop.
  const mainThread = { connect: openSession, order, turn: () => new Promise(() => {}) }
  const parts = { mainThread, probe, observer }
  const early = new AbortController().signal
  // Nothing that waits in a capture holds its thread: whoever runs captures keeps its own thread alive.
  parentPort.ref()
  try {
    Atomics.store(done, 0, 1)
    if (fifo) stuckOn = openOnceRead(fifo)
    const cpu = createCpuCapturer({ ...parts, engine: engines.cpu })
    const captured = await (await cpu.plan(directory)).take(job(directory, 'cpu', 300), early)
    const heap = createHeapCapturer({ ...parts, engine: engines.memory, sampling: true })
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
