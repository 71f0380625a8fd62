// An application with a heap of small objects of one class that dumps it in one way or another, on order over IPC, and serves
// requests meanwhile. node forking-program.cjs <heap MB> <cgroup.procs or ''>
'use strict'
const http = require('node:http')
const v8 = require('node:v8')
const { writeFileSync } = require('node:fs')
const { createRequire } = require('node:module')
const { join } = require('node:path')

const [heapMb, procs] = process.argv.slice(2)
if (procs) writeFileSync(procs, String(process.pid))

class LeakedThing {
  constructor(number) {
    this.number = number
    this.tags = [number, { number }]
  }
}

const cpuMemoryMonitor = require('../../../..')
const monitor = cpuMemoryMonitor({
  memory: { threshold: '100gb' },
  logger: false,
  signal: false,
  engine: 'builtin',
})
const failures = []
monitor.on('failure', ({ message }) => failures.push(message))

const things = []
function leakThings() {
  while (process.memoryUsage().heapUsed < Number(heapMb) * 1e6) {
    for (let more = 0; more < 1000; more++) things.push(new LeakedThing(things.length))
  }
}

function inPlace(write) {
  const startedAtMs = performance.now()
  write()
  return { pauseMs: performance.now() - startedAtMs }
}

const file = join(process.cwd(), 'in-place.heapsnapshot')
const fromPackages = (name) => createRequire(join(process.env.CMM_TEST_PACKAGES ?? '/nowhere', 'x.js'))(name)
const ways = {
  fork: () => monitor.dumpMemory(),
  v8: () => inPlace(() => v8.writeHeapSnapshot(file)),
  heapdump: () =>
    new Promise((resolve) => {
      const startedAtMs = performance.now()
      fromPackages('heapdump').writeSnapshot(file, () =>
        resolve({ pauseMs: performance.now() - startedAtMs }),
      )
    }),
  'v8-profiler-next': () =>
    inPlace(() => {
      const snapshot = fromPackages('v8-profiler-next').takeSnapshot()
      // Synchronous, so that the time is all of it: the package exports in chunks.
      const chunks = []
      snapshot.export((_error, text) => chunks.push(text))
      writeFileSync(file, chunks.join(''))
      snapshot.delete()
    }),
}

process.on('message', async (way) => {
  const result = await ways[way]()
  process.send({ ...result, failures, leaked: things.length, aliveAfter: true })
})
const server = http
  .createServer((request, response) => response.end('served'))
  .listen(0, '127.0.0.1', () => {
    // The sampler needs to be on before what is leaked is allocated.
    setTimeout(() => {
      leakThings()
      if (global.gc) global.gc()
      process.send({
        port: server.address().port,
        leaked: things.length,
        heapUsed: process.memoryUsage().heapUsed,
      })
    }, 1000)
  })
