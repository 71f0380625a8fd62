// A process of a fleet that serves requests, dumps, and sends. Reports what its monitor does, a line of JSON per event, and at its
// end how long the main thread was in the code that sends.
//
//   node fleet-pod.cjs '{"options": {…}, "redis": {…}, "s3": {…}, "heapObjects": 1}'
const { readFileSync, writeSync } = require('node:fs')
const { createServer } = require('node:http')
const threads = require('node:worker_threads')

const { options, redis, s3, heapObjects } = JSON.parse(process.argv[2])
const say = (name, payload = {}) => writeSync(1, `${JSON.stringify({ name, ...payload })}\n`)

/** The longest stay of the main thread in the code that sends: time that passed, and CPU that it used. */
const longest = { wallMs: 0, cpuMs: 0 }

/** Time that the calling thread has had a CPU, ms. In steps of the kernel's tick. */
function cpuMs() {
  return Number(readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ')[0]) / 1e6
}

const moment = () => ({ wallMs: performance.now(), cpuMs: cpuMs() })

function note(since) {
  const now = moment()
  for (const figure of ['wallMs', 'cpuMs'])
    longest[figure] = Math.max(longest[figure], now[figure] - since[figure])
}

function timed(work) {
  const since = moment()
  try {
    return work()
  } finally {
    note(since)
  }
}

const { Worker } = threads
threads.Worker = class extends Worker {
  constructor(file, given) {
    const since = moment()
    super(file, given)
    this.isOfUploads = /upload-thread/.test(file)
    if (this.isOfUploads) note(since)
  }

  emit(...values) {
    return this.isOfUploads ? timed(() => super.emit(...values)) : super.emit(...values)
  }
}

const cpuMemoryMonitor = require('cpu-memory-monitor')
const { redisBudget } = require('cpu-memory-monitor/redis')
const { uploadTo } = require('cpu-memory-monitor/s3')

/** All of it is measured: the call for a dump, and that for the start. */
function measured(onDump) {
  const outer = (dump) => timed(() => onDump(dump))
  for (const key of Object.getOwnPropertySymbols(onDump))
    outer[key] = (...values) => timed(() => onDump[key](...values))
  return outer
}

globalThis.heap = Array.from({ length: heapObjects }, (_, id) => ({
  id,
  name: `customer ${id}`,
  tags: [id, id + 1],
}))

const line = (level) => (text) => say('line', { level, text })
const monitor = cpuMemoryMonitor({
  logger: { info: line('info'), warn: line('warn'), error: line('error') },
  ...options,
  ...(redis && { fleet: redisBudget(redis) }),
  ...(s3 && { onDump: measured(uploadTo(s3)) }),
})
for (const name of ['dump', 'skip', 'failure'])
  monitor.on(name, (payload) => say(name, { ...payload, atMs: Date.now() }))

const server = createServer((_request, response) => {
  const endMs = performance.now() + 1
  while (performance.now() < endMs);
  response.end('ok')
})
server.listen(0, '127.0.0.1', () => say('ready', { port: server.address().port }))

process.on('message', async ({ order }) => {
  if (order === 'cpu') await monitor.dumpCpu(500)
  if (order === 'memory') await monitor.dumpMemory()
  if (order !== 'end') return
  await monitor.stop()
  say('end', longest)
  process.exit()
})
