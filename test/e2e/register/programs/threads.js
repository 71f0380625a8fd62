// A program with a worker thread, of which each prints how many threads it sees in its own numbering.
const { Worker, isMainThread, threadId } = require('node:worker_threads')

if (isMainThread) {
  const worker = new Worker(__filename)
  worker.on('message', (message) => console.log('from the worker:', message))
  worker.on('exit', (code) => console.log('worker ended with', code))
} else {
  require('node:worker_threads').parentPort.postMessage({ isWorker: threadId > 0 })
}
