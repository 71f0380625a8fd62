// The server of the benchmark `idle`: node server.cjs <variant> <node_modules of its peer> <address of a collector> <ms of a profile>.
// What a variant adds is the only difference between two of them.
'use strict'
const { createRequire } = require('node:module')
const { join } = require('node:path')
const fastify = require('fastify')()

const [variant, modules, collector, periodMs] = process.argv.slice(2)
const peer = (name) => createRequire(join(modules, 'x.js'))(name)

/** Each out of reach, but checked: an answer of 503 is not what is measured. */
const OUT_OF_REACH = {
  maxEventLoopDelay: 60_000,
  maxHeapUsedBytes: 2 ** 40,
  maxRssBytes: 2 ** 40,
  maxEventLoopUtilization: 1,
}
/** As the vendor's tracer starts them. */
const DATADOG = { intervalMicros: 10_101, heapIntervalBytes: 512 * 1024, stackDepth: 64 }

const variants = {
  nothing() {},
  preloaded() {},
  '1.x'() {
    const pidusage = require('pidusage')
    for (let watched = 0; watched < 2; watched++) setInterval(() => pidusage(process.pid, () => {}), 1000)
  },
  'under-pressure': () => fastify.register(peer('@fastify/under-pressure'), OUT_OF_REACH),
  datadog() {
    const { time, heap, encode } = peer('@datadog/pprof')
    const { intervalMicros, heapIntervalBytes, stackDepth } = DATADOG
    time.start({ durationMillis: Number(periodMs), intervalMicros })
    heap.start(heapIntervalBytes, stackDepth)
    const send = async (profile) => {
      const body = await encode(profile)
      await (await fetch(collector, { method: 'POST', body })).arrayBuffer()
    }
    setInterval(async () => {
      await send(time.stop(true))
      await send(heap.profile())
    }, Number(periodMs))
  },
  pyroscope() {
    const pyroscope = peer('@pyroscope/nodejs')
    const wall = { samplingDurationMs: Number(periodMs) }
    pyroscope.init({
      appName: 'idle',
      serverAddress: collector,
      flushIntervalMs: Number(periodMs),
      wall,
    })
    pyroscope.start()
  },
}

/** A request of some 0.15 ms of CPU: allocations, a sort, JSON. */
function ordersOf(customer) {
  const orders = Array.from({ length: 60 }, (_, at) => ({
    id: `${customer}-${at}`,
    total: (at * 7919) % 1000,
    items: [at, at + 1, at + 2].map((item) => ({ item, name: `item ${item} of ${customer}` })),
  }))
  return orders.sort((one, other) => one.total - other.total)
}

process.on('disconnect', () => process.exit())
process.on('message', () => {
  const { user, system } = process.cpuUsage()
  process.send({ cpuUs: user + system, rssBytes: process.memoryUsage.rss() })
})

variants[variant]()
fastify.get('/customers/:id/orders', (request) => ({ orders: ordersOf(request.params.id) }))
fastify
  .listen({ port: 0, host: '127.0.0.1' })
  .then(() => process.send({ port: fastify.server.address().port }))
