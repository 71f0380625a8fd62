'use strict'
// socket.io with sticky sessions and its cluster adapter, as its documentation has it. The primary accepts. What a worker
// has heard is on stdout before it acknowledges it.
const cluster = require('node:cluster')
const http = require('node:http')
const { createAdapter, setupPrimary } = require('@socket.io/cluster-adapter')
const { setupMaster, setupWorker } = require('@socket.io/sticky')
const { Server } = require('socket.io')
const { run } = require(process.env.CLUSTER_DIST ?? '../../../../dist/cluster')

const config = JSON.parse(process.env.CLUSTER_APP)
const leak = []
let io

function start() {
  io = new Server(http.createServer())
  io.adapter(createAdapter())
  setupWorker(io)
  io.on('connection', (socket) => {
    const room = `room ${socket.handshake.auth.user % 10}`
    socket.join(room)
    socket.on('say', (id, acknowledge) => {
      leak.push(Buffer.alloc(config.leakKb * 1024, 1))
      process.stdout.write(`{"heard":"${id}"}\n`)
      io.to(room).emit('said', id)
      acknowledge(process.pid)
    })
  })
}

/** Unlike `disconnectSockets()`, after which clients of socket.io do not reconnect by themselves. */
const clean = ({ drained }) => {
  io.engine.close()
  return drained
}

if (cluster.isPrimary) cluster.setupPrimary({ serialization: 'advanced' })
const handle = run(config.limit, start, clean, { checkInterval: 100, ...config.options })

if (cluster.isPrimary) {
  const door = http.createServer()
  setupMaster(door, { loadBalancingMethod: 'least-connection' })
  setupPrimary()
  // The load balancer takes the worker with the fewest clients: not one whose clients have just left it.
  handle.on('drain', ({ id }) => (cluster.workers[id].clientsCount = Infinity))
  for (const name of ['ready', 'over', 'drain', 'recycled', 'crash']) {
    handle.on(name, (event) => globalThis.probe(`handle ${name}`, event))
  }
  door.listen(0, '127.0.0.1', () => globalThis.probe('door', { port: door.address().port }))
}
