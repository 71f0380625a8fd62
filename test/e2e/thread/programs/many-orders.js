// Gives the main thread as many orders as a test asks for, from a thread, over the inspector: node --expose-gc many-orders.js <orders>.
// Prints how much the main thread's heap grew from the second tenth of them to the end, in bytes per order.
const { Worker, isMainThread, parentPort, workerData, MessageChannel } = require('node:worker_threads')
const { getHeapStatistics } = require('node:v8')

const HOOK = 'many-orders'
/** As long as the order of a memory dump is. */
const PADDING = 'x'.repeat(4000)

if (isMainThread) {
  const { createOrderHook } = require('../../../../dist/thread/over-inspector.js')
  const { processRegistry } = require('../../../../dist/dispatch/gate.js')
  const { port1, port2 } = new MessageChannel()
  const orders = { heapStatistics: ({ number }) => ({ usedBytes: number }) }
  processRegistry().hooks.set(
    HOOK,
    createOrderHook(() => orders, port1),
  )
  const count = Number(process.argv[2])
  const worker = new Worker(__filename, { workerData: { port: port2, count }, transferList: [port2] })
  let beganAt
  worker.on('message', (done) => {
    globalThis.gc()
    const usedBytes = getHeapStatistics().used_heap_size
    beganAt ??= { usedBytes, done }
    if (done < count) return worker.postMessage('go on')
    console.log(JSON.stringify({ bytesPerOrder: (usedBytes - beganAt.usedBytes) / (count - beganAt.done) }))
    worker.terminate()
  })
} else {
  // Neither an order nor a session keeps its thread alive.
  setInterval(() => undefined, 1000)
  void give(workerData)
}

async function give({ port, count }) {
  const { InspectorMainThread } = require('../../../../dist/thread/over-inspector.js')
  const { EXIT_WAIT_BYTES, ExitWait } = require('../../../../dist/thread/exit-wait.js')
  const mainThread = new InspectorMainThread(HOOK, port, new ExitWait(new SharedArrayBuffer(EXIT_WAIT_BYTES)))
  for (let number = 1; number <= count; number++) {
    // Some together, as a dump by hand beside the start of the sampler: each has its own answer.
    const numbers = number % 3 === 0 ? [number, -number] : [number]
    const answers = await Promise.all(
      numbers.map((each) =>
        mainThread.order('heapStatistics', { number: each, padding: `${each} ${PADDING}` }),
      ),
    )
    answers.forEach(({ usedBytes }, index) => {
      if (usedBytes !== numbers[index])
        throw new Error(`order ${numbers[index]} had the answer of ${usedBytes}`)
    })
    if (number % (count / 5) !== 0) continue
    parentPort.postMessage(number)
    if (number < count) await new Promise((go) => parentPort.once('message', go))
  }
}
