'use strict'
// A shop that takes orders and leaks memory with each. A worker that has grown above 150 MB is replaced, and no order
// is lost. The snapshot of its heap is in ./evidence.
const { open } = require('node:fs/promises')
const http = require('node:http')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { run } = require('cpu-memory-monitor/cluster')

const { PORT = '8080', ORDERS = join(tmpdir(), 'orders.txt') } = process.env
const leak = []
let orders

const shop = run('150mb', start, clean, {
  killTimeout: 10_000,
  logger: false,
  dump: { profileDir: './evidence' },
})

/** Runs in each worker, which serves when this has resolved. */
async function start() {
  orders = await open(ORDERS, 'a') // In place of a database.
  const server = http.createServer((request, response) => {
    takeOrder(response).catch((error) => response.destroy(error))
  })
  await new Promise((resolve, reject) =>
    server.once('error', reject).listen(Number(PORT), '127.0.0.1', resolve),
  )
  console.log(`worker ${process.pid} listens on port ${server.address().port}`)
}

async function takeOrder(response) {
  leak.push(Buffer.alloc(100_000, 1))
  await orders.appendFile(`an order, taken by ${process.pid}\n`)
  response.end(`thank you, says ${process.pid}\n`)
}

/** Runs in a worker that drains. Its last requests are still being answered and need the file until `drained`. */
async function clean({ reason, drained }) {
  console.log(`worker ${process.pid} is to go: ${reason}`)
  await drained
  await orders.close()
  console.log(`worker ${process.pid} has closed its orders`)
}

// Events come in the primary; a worker emits none.
shop.on('ready', ({ pid, rss }) => console.log(`${pid} serves, with ${inMb(rss)}`))
shop.on('over', ({ pid, rss }) => console.log(`${pid} is too large: ${inMb(rss)}`))
shop.on('recycled', ({ pid, ms, code }) => console.log(`${pid} is gone after ${ms} ms, code ${code}`))
shop.on('crash', ({ pid, code, signal }) => console.error(`${pid} is lost: ${signal ?? `code ${code}`}`))
shop.on('backoff', ({ ms }) => console.error(`workers die young: next attempt in ${ms} ms`))
shop.on('thrash', ({ ms }) => console.log(`that was soon: the next one waits for ${ms} ms`))
shop.on('limit-unreachable', ({ rss }) => console.error(`a fresh worker takes ${inMb(rss)} already`))

function inMb(bytes) {
  return `${Math.round(bytes / 1024 / 1024)} MB`
}
