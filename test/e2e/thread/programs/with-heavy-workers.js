// A program whose memory lies in one thread: node with-heavy-workers.js <monitor options as JSON> <case>. Reads `dump` on its
// standard input; ends when that closes. Objects of the class `Parcel` are what the heap of that thread is full of.
const { Worker } = require('node:worker_threads')
const { monitor, name, say } = require('./stage')

// Long strings, so that few objects hold much memory, and a snapshot is soon taken.
const FILL = `class Parcel { constructor(at) { this.text = Buffer.alloc(100_000, 97 + (at % 20)).toString('latin1') } }
  globalThis.parcels = Array.from({ length: 1500 }, (_, at) => new Parcel(at));
  require('node:worker_threads').parentPort?.postMessage('full');`
const IDLE = 'setInterval(() => {}, 100);'
/** The snapshot begins with this call. */
const whenAsked = (work) => `process.getBuiltinModule = () => { ${work} };`

const worker = (code, more = {}) => new Worker(code, { eval: true, ...more })
const heavy = (code) =>
  new Promise((resolve) => {
    const made = worker(FILL + code, { name: 'cache' })
    made.on('message', (message) => (message === 'full' ? resolve() : process.exit(5)))
  })

const cases = {
  idle: () => heavy(IDLE),
  spins: () => heavy('for (;;);'),
  waits: () => heavy('Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)'),
  many: async () => {
    for (let count = 0; count < 16; count++) worker(IDLE, { name: `calm ${count}` })
    await heavy(IDLE)
  },
  main: () => {
    worker(IDLE, { name: 'calm' })
    new Function('require', FILL)(() => ({}))
  },
  ends: () => heavy(whenAsked('process.exit()') + IDLE),
  refuses: () => heavy(whenAsked(`throw new Error('not here')`) + IDLE),
  exits: () =>
    heavy(whenAsked(`require('node:worker_threads').parentPort.postMessage('asked'); for (;;);`) + IDLE),
}

Promise.resolve(cases[name]()).then(() => setTimeout(() => say({ type: 'ready' }), 2000))
process.stdin.on('data', async () => say({ type: 'dumped', result: await monitor.dumpMemory() }))
process.stdin.on('end', () => process.exit())
