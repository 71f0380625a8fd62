'use strict'
// The primary accepts the connections and hands them to its workers, as for sticky sessions. HAND_OVER describes it:
//   kind     the worker's server: http, https, h2, h2c, net
//   to       all: to every worker in turn, as code does that does not know of draining; serving: to those that do not drain
//   closes   the primary accepts no more when the cluster stops
//   growsMb  what the first worker takes by itself, soon after its start
//   holds    the first worker keeps its sockets until it drains, and gives them to its server 300 ms later
const cluster = require('node:cluster')
const fs = require('node:fs')
const http2 = require('node:http2')
const https = require('node:https')
const net = require('node:net')
const path = require('node:path')
const { run } = require(process.env.CLUSTER_DIST ?? '../../../../dist/cluster')
const app = require('./server.js')

const {
  kind = 'http',
  to = 'all',
  closes = false,
  holds = false,
  growsMb = 0,
} = JSON.parse(process.env.HAND_OVER ?? '{}')
const config = JSON.parse(process.env.CLUSTER_APP)
const file = fs.readFileSync(path.join(__dirname, 'self-signed.pem'))
const pem = { key: file, cert: file }
const say = (line) => process.stdout.write(`${JSON.stringify({ pid: process.pid, ...line })}\n`)

const held = []

const servers = {
  http: () => app.create(),
  https: () => https.createServer(pem, app.handle),
  h2: () => http2.createSecureServer({ ...pem, allowHTTP1: true }, app.handle),
  h2c: () => http2.createServer(app.handle),
  /** Answers each line after a while, and ends the connection when its client does. */
  net: () =>
    net.createServer((socket) => {
      socket.on('error', () => {})
      socket.on('data', (data) => {
        if (String(data).startsWith('leak')) globalThis.ballast = Buffer.alloc(150e6, 1)
        setTimeout(() => socket.write(`${data} ${process.pid}\n`), 300)
      })
    }),
}

function start() {
  const server = servers[kind]()
  if (cluster.worker.id === 1) setTimeout(() => (globalThis.ballast = Buffer.alloc(growsMb * 1e6, 1)), 300)
  const give = (socket) => {
    server.emit('connection', socket)
    socket.resume()
  }
  const take = (socket) => (holds && cluster.worker.id === 1 ? held.push(() => give(socket)) : give(socket))
  process.on('message', (message, socket) => {
    if (message === 'conn' && socket) take(socket)
  })
}

/** What the application does when it has been told that all is done. */
const clean = ({ reason, drained }) => {
  say({ clean: reason })
  setTimeout(() => held.forEach((give) => give()), 300)
  return drained.then(() => say({ drained: true }))
}

const handle = run(config.limit ?? '150mb', start, clean, { checkInterval: 100, ...config.options })

if (cluster.isPrimary) {
  const draining = new Set()
  handle.on('drain', ({ id, reason }) => {
    draining.add(id)
    if (closes && reason === 'stop') door.close()
  })
  const names = ['ready', 'over', 'recycle', 'drain', 'recycled', 'crash', 'backoff', 'thrash']
  for (const name of names) handle.on(name, (event) => globalThis.probe(`handle ${name}`, event))
  let turn = 0
  const choose = () => {
    const workers = Object.values(cluster.workers)
    const candidates = to === 'all' ? workers : workers.filter(({ id }) => !draining.has(id))
    return candidates[turn++ % candidates.length]
  }
  const door = net.createServer({ pauseOnConnect: true }, (socket) => choose().send('conn', socket))
  door.listen(0, '127.0.0.1', () => globalThis.probe('door', { port: door.address().port }))
}
