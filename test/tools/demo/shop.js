'use strict'
// A small web shop with the two faults that the demo wants caught: /report computes for too long, and /login remembers
// every session for ever. The monitor's lines below are all that a real application would have to add.
const { createServer } = require('node:http')
const cpuMemoryMonitor = require('cpu-memory-monitor')

const MIB = 1024 * 1024
const sessions = new Map()

class SessionRecord {
  constructor(user) {
    this.user = user
    this.startedAt = new Date()
    this.lastPage = Buffer.alloc(16 * 1024, `<h1>Welcome back, ${user}</h1>`)
  }
}

function rememberSession(user) {
  sessions.set(sessions.size, new SessionRecord(user))
  return `${sessions.size} sessions`
}

function renderReport() {
  let total = 0
  for (let order = 1; order < 20_000_000; order++) total = (total + order * (order % 97)) % 1_000_003
  return `total: ${total}`
}

const pages = { '/': () => 'welcome', '/report': renderReport, '/login': () => rememberSession('ann') }

const server = createServer(function serve(request, response) {
  const page = pages[request.url]
  response.statusCode = page ? 200 : 404
  response.end(page?.())
})

const tell = (name, event) => process.send?.({ name, event })
const tellLine = (line) => tell('line', line)

const monitor = cpuMemoryMonitor({
  cpu: { interval: 500, threshold: 30, counter: 3, duration: 5000, limiter: [1, 'hour'] },
  memory: {
    interval: 500,
    threshold: process.memoryUsage.rss() + 96 * MIB,
    counter: 3,
    limiter: [1, 'hour'],
  },
  profileDir: process.argv[2],
  logger: { info: tellLine, warn: tellLine, error: tellLine },
})

monitor.on('dump', (dump) => tell('dump', dump))

process.once('disconnect', () => process.exit())
process.once('message', async () => {
  server.close()
  server.closeAllConnections()
  await monitor.stop()
  process.disconnect()
})

server.listen(0, '127.0.0.1', () => tell('listening', server.address()))
