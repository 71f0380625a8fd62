'use strict'
// A shop in several processes that forgets no session. Each worker is replaced before it has taken too much memory.
const cluster = require('node:cluster')
const http = require('node:http')
const memory = require('../../../dist/cluster/index.js')

const TELL_INTERVAL_MS = 250
const SESSION_BYTES = 150_000
const SLOW_PAGE_MS = 400

const sessions = []

function serve() {
  const server = http.createServer((request, response) => {
    sessions.push(Buffer.alloc(SESSION_BYTES, 1))
    if (request.url === '/report') setTimeout(() => response.end('report'), SLOW_PAGE_MS)
    else response.end('page')
  })
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(tellPort(server))))
}

function tellPort(server) {
  process.send({ port: server.address().port })
}

const shop = memory.run(process.argv[2], serve, undefined, {
  count: Number(process.argv[3]),
  checkInterval: 250,
  // A leak this fast is over the limit again soon: it is shown all the same, without a pause.
  minLifetime: 0,
  logger: false,
})

if (cluster.isPrimary) {
  const tell = (name, event) => process.connected && process.send({ name, event })
  cluster.once('message', (worker, { port }) => tell('port', port))
  for (const name of ['over', 'recycle', 'recycled', 'crash']) shop.on(name, (event) => tell(name, event))
  setInterval(() => tell('stats', shop.stats()), TELL_INTERVAL_MS).unref()
  process.on('message', () => void shop.stop().then(() => process.disconnect()))
  process.on('disconnect', () => void shop.stop().then(() => process.exit()))
}
