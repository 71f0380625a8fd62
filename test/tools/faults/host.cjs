// An application under fire: an HTTP server with a monitor, which does to itself what the campaign orders.
//
//   node --expose-gc host.cjs <directory for dumps>
//
// Its messages to the campaign: events and log lines of the monitor, and an answer to each order.
const workerThreads = require('node:worker_threads')
const { pbkdf2Sync } = require('node:crypto')
const { closeSync, openSync, readdirSync } = require('node:fs')
const http = require('node:http')
const { getHeapStatistics } = require('node:v8')

// The campaign ends the monitor's thread as nothing but a defect could: by the Worker object.
const { Worker } = workerThreads
const threads = new Set()
workerThreads.Worker = class extends Worker {
  constructor(file, options) {
    super(file, options)
    threads.add(this)
    this.on('exit', () => threads.delete(this))
  }
}
const cpuMemoryMonitor = require('../../..')
workerThreads.Worker = Worker

const [profileDir] = process.argv.slice(2)
const MB = 1024 * 1024
const send = (message) => process.connected && process.send(message, () => undefined)

for (const event of ['uncaughtException', 'unhandledRejection', 'warning'])
  process.on(event, (error) => send({ type: 'violation', text: `${event}: ${error?.stack ?? error}` }))

const line = (level) => (text) => send({ type: 'line', level, text })
const logger = { info: line('info'), warn: line('warn'), error: line('error') }

let monitor
/** Number of the start that an event is of: each has a budget of its own. */
let life = 0

function start({ cpuBudget, memoryBudget, heapLimit }) {
  const ownLife = ++life
  const at = { life: ownLife }
  monitor = cpuMemoryMonitor({
    profileDir,
    logger,
    keep: 5,
    cpu: {
      interval: 200,
      threshold: 60,
      counter: 2,
      duration: 400,
      blocked: 400,
      limiter: [cpuBudget, 'hour'],
    },
    memory: { interval: 200, threshold: '160mb', counter: 2, limiter: [memoryBudget, 'hour'], heapLimit },
    rules: [
      {
        name: 'loads',
        metric: () => loads.size,
        threshold: 3,
        interval: 200,
        dump: 'cpu',
        limiter: [cpuBudget, 'hour'],
      },
    ],
  })
  for (const type of ['dump', 'skip', 'failure', 'leak'])
    monitor.on(type, ({ kind, rule, files, reason, stage, message }) =>
      send({ type, ...at, kind, rule, files, reason, stage, message }),
    )
}

/** What an order has brought in and will take away again. */
const loads = new Set()
const later = (ms, undo) => {
  const load = {}
  loads.add(load)
  setTimeout(() => {
    loads.delete(load)
    undo?.()
  }, ms)
}

const objects = (mb) =>
  Array.from({ length: mb * 1000 }, (_, at) => ({ at, text: `object ${at}`.padEnd(900, String(at % 10)) }))

/** Whether the heap has room for more without danger. Two faults that fill it may fall together. */
const isBelowHeapLimit = () => {
  const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics()
  return used < 0.75 * limit
}

const spin = (ms) => {
  const end = performance.now() + ms
  while (performance.now() < end);
}

const workerOf = (code, ms) => {
  const worker = new Worker(code, {
    eval: true,
    name: 'of the application',
    resourceLimits: { maxOldGenerationSizeMb: 40 },
  })
  worker.on('error', () => undefined)
  later(ms, () => void worker.terminate())
}

const orders = {
  start,
  stop: () => monitor.stop(),
  update: ({ threshold }) => monitor.update({ cpu: { threshold } }),
  overload({ ms }) {
    const end = performance.now() + ms
    const slice = () => {
      spin(30)
      if (performance.now() < end) setImmediate(slice)
    }
    later(ms)
    slice()
  },
  block: ({ ms }) => void setImmediate(spin, ms),
  nativeCall: ({ rounds }) => void setImmediate(() => pbkdf2Sync('secret', 'salt', rounds, 64, 'sha512')),
  leak({ mb, ms }) {
    const kept = []
    while (kept.length < mb && isBelowHeapLimit()) kept.push(objects(1))
    later(ms, () => kept.splice(0))
  },
  buffers({ mb, ms }) {
    let kept = Buffer.alloc(mb * MB, 1)
    later(ms, () => (kept = kept.subarray(0, 0) && undefined))
  },
  nearHeapLimit({ ms }) {
    const kept = []
    while (isBelowHeapLimit()) kept.push(objects(1))
    later(ms, () => kept.splice(0))
  },
  overHeapLimit() {
    const kept = []
    const fill = () => {
      kept.push(objects(2))
      setImmediate(fill)
    }
    fill()
  },
  descriptors({ ms }) {
    const taken = []
    try {
      for (;;) taken.push(openSync('/dev/null'))
    } catch {
      later(ms, () => taken.forEach(closeSync))
    }
  },
  hotWorker: ({ ms }) => workerOf('for (;;) Math.sqrt(Math.random())', ms),
  dyingWorker: ({ ms }) =>
    workerOf('const all = []; setInterval(() => all.push(new Array(1e5).fill({})), 1)', ms),
  endThread() {
    for (const thread of threads) void thread.terminate()
  },
  dump: ({ kind }) => monitor[kind === 'cpu' ? 'dumpCpu' : 'dumpMemory']().then(Boolean, () => false),
  async resources() {
    global.gc()
    await new Promise((resolve) => setTimeout(resolve, 50))
    global.gc()
    const listeners = process
      .eventNames()
      .map((name) => `${String(name)} ${process.listenerCount(name)}`)
      .sort()
    return {
      descriptors: readdirSync('/proc/self/fd').length,
      threads: readdirSync('/proc/self/task').length,
      listeners,
      resources: process.getActiveResourcesInfo().length,
      heapMb: Math.round(process.memoryUsage().heapUsed / MB),
      loads: loads.size,
    }
  },
  end: () => process.exit(0),
}

process.on('message', async ({ id, order, parameters = {} }) => {
  try {
    send({ type: 'answer', id, value: await orders[order](parameters) })
  } catch (error) {
    send({ type: 'answer', id, error: String(error?.stack ?? error) })
  }
})

const server = http.createServer((_, response) => response.end('ok'))
// Without descriptors a server cannot accept; that is the application's trouble, not its end.
server.on('error', () => undefined)
server.listen(0, '127.0.0.1', () => send({ type: 'listening', port: server.address().port }))
