'use strict'
// A cluster as the test describes it in CLUSTER_APP.
const { execFileSync } = require('node:child_process')
const cluster = require('node:cluster')
const dgram = require('node:dgram')
const fs = require('node:fs')
const http = require('node:http')
const http2 = require('node:http2')
const https = require('node:https')
const path = require('node:path')
const { run } = require(process.env.CLUSTER_DIST ?? '../../../../dist/cluster')
const app = require('./server.js')

const config = JSON.parse(process.env.CLUSTER_APP)
const file = fs.readFileSync(path.join(__dirname, 'self-signed.pem'))
const pem = { key: file, cert: file }
const say = (line) => process.stdout.write(`${JSON.stringify({ pid: process.pid, ...line })}\n`)

/** JSON has no BigInt: '1n' stands for one. */
const revive = (_, value) =>
  typeof value === 'string' && /^\d+n$/.test(value) ? BigInt(value.slice(0, -1)) : value

const starts = {
  http: () => listen(app.create()),
  /** No server at all: it takes jobs, and each leaves something behind. */
  queue: () => void setInterval(() => (globalThis.jobs ??= []).push(Buffer.alloc(20e6, 1)), 100),
  https: () => listen(https.createServer(pem, app.handle)),
  h2: () => listen(http2.createSecureServer({ ...pem, allowHTTP1: true }, app.handle)),
  h2c: () => listen(http2.createServer(app.handle)),
  /** With the single-process monitor as well. */
  monitored: () => {
    require('../../../../dist/index.js')({ profileDir: config.profileDir, memory: { threshold: '100gb' } })
    return listen(app.create())
  },
  two: () => Promise.all([listen(app.create()), listen(app.create())]),
  /** It looks for a free port first, as port finders do. */
  probing: async () => {
    const probe = http.createServer()
    await new Promise((resolve) => probe.listen(0, '127.0.0.2', resolve))
    await new Promise((resolve) => probe.close(resolve))
    return listen(app.create())
  },
  /** Listens on the common port, and where no other worker does. */
  private: async () => {
    const socketPath = path.join(config.directory, `${cluster.worker.id}.sock`)
    await new Promise((resolve) => app.create().listen(socketPath, resolve))
    return listen(app.create())
  },
  late: () => void setTimeout(() => listen(app.create()), 300),
  slowly: async () => {
    await new Promise((resolve) => setTimeout(resolve, 1500))
    return listen(app.create())
  },
  socket: () => new Promise((resolve) => app.create().listen(config.socketPath, resolve)),
  /** On a descriptor that the primary inherited, as from systemd. */
  descriptor: () => new Promise((resolve) => app.create().listen({ fd: 5 }, resolve)),
  /** A socket of the worker's own, which no primary knows. */
  own: async () => {
    const where = { ...config.own, host: '127.0.0.1' }
    // A replacement waits until the test lets it serve.
    const isHeld = () => config.go !== undefined && cluster.worker.id > config.options.count
    while (isHeld() && !fs.existsSync(config.go)) await new Promise((resolve) => setTimeout(resolve, 20))
    server = app.create()
    server.keepAliveTimeout = config.keepAliveTimeout ?? server.keepAliveTimeout
    await new Promise((resolve) => server.listen(where, resolve))
    say({ port: server.address().port })
  },
  /** Answers each datagram after 300 ms, from the port to which it came. */
  udp: () => {
    const socket = dgram.createSocket('udp4')
    socket.on('message', (message, from) => {
      unanswered += 1
      read += 1
      leak.push(Buffer.alloc(Number(config.leakKb) * 1024, 1))
      setTimeout(() => {
        unanswered -= 1
        socket.send(message, from.port, from.address)
      }, 300)
    })
    return new Promise((resolve) => socket.bind({ address: '127.0.0.1', ...config.bind }, resolve))
  },
  keepalive: () => listen(Object.assign(app.create(), { keepAliveTimeout: config.keepAliveTimeout })),
  birth: () => {
    globalThis.ballast = Buffer.alloc(config.birthMb * 1e6, 1)
    return listen(app.create())
  },
  /** Above its limit as soon as it serves. */
  grows: () => {
    setTimeout(() => (globalThis.ballast = Buffer.alloc(150e6, 1)), 200)
    return listen(app.create())
  },
  /** While the file is there, workers fail: at once, or after a second of service. */
  failing: () => {
    if (fs.existsSync(config.failFile)) process.exit(7)
    return listen(app.create())
  },
  /** As an application does that meets an error: the file is there, it gives its worker up before it serves. */
  givingUp: () => {
    if (!fs.existsSync(config.failFile)) return listen(app.create())
    cluster.worker.disconnect()
    return new Promise(() => {})
  },
  rejecting: async () => {
    await null
    throw new Error('runFunc rejected on purpose')
  },
  silent: () => new Promise(() => {}),
  /** As without a free descriptor: Node opens a file to read the memory. */
  exhausted: () => {
    const { rss } = process.memoryUsage
    process.memoryUsage.rss = () => {
      throw Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' })
    }
    setTimeout(() => {
      process.memoryUsage.rss = rss
      say({ free: true })
    }, 1000)
    return listen(app.create())
  },
  grandchild: () => {
    // It inherits the channel to the primary and holds it open for a while: 'exit' then comes before 'disconnect'.
    require('node:child_process').spawn('sleep', ['1'], { stdio: ['ignore', 'ignore', 'ignore', 3, 4, 5] })
    return listen(app.create())
  },
  framework: async () => {
    closeFramework = await require('./frameworks.js')[config.framework](say)
  },
  /** Reports which messages arrive, and what its own child processes inherit. */
  listening: () => {
    for (const [on, emitter] of Object.entries({ process, worker: cluster.worker })) {
      emitter.on('message', (heard) => say({ on, heard }))
    }
    process.send({ from: 'application' })
    const script = 'console.log(process.env.CPU_MEMORY_MONITOR_PRIMARY)'
    const child = execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' })
    say({ own: process.env.CPU_MEMORY_MONITOR_PRIMARY ?? null, child: child.trim() })
    return listen(app.create())
  },
  /** A careless application: JSON that a user posts becomes a message. */
  forwarding: () =>
    listen(
      http.createServer(async (req, res) => {
        if (req.method !== 'POST') return app.handle(req, res)
        let body = ''
        for await (const piece of req.setEncoding('utf8')) body += piece
        process.send(JSON.parse(body, config.setup.serialization === 'advanced' ? revive : undefined))
        res.end('sent')
      }),
    ),
  /** A monitor that is started by the application, after `run`. */
  monitoredLater: async () => {
    await new Promise((resolve) => setTimeout(resolve, 100))
    require('../../../../dist/index.js')({ profileDir: config.profileDir })
    return listen(app.create())
  },
}

const cleans = {
  none: undefined,
  say: ({ reason, drained }) => {
    say({ clean: reason })
    return drained.then(() => say({ drained: true }))
  },
  throws: () => {
    throw new Error('cleanFunc threw on purpose')
  },
  rejects: () => Promise.reject(new Error('cleanFunc rejected on purpose')),
  mumbles: () => Promise.reject(Object.create(null)),
  never: () => new Promise(() => {}),
  ends: () => app.endUpgraded(),
  closes: () => void server.close(),
  /** The order that the documentation asks for; `closesAtOnce` is the one that it warns of. */
  closesDrained: async ({ drained }) => {
    await drained
    await closeFramework()
    say({ closed: config.framework })
  },
  closesAtOnce: () => closeFramework(),
  answers: async ({ reason }) => {
    while (unanswered > 0) await new Promise((resolve) => setTimeout(resolve, 20))
    // The last answer was sent in this turn of the event loop.
    await new Promise((resolve) => setTimeout(resolve, 20))
    say({ answered: reason, read })
  },
  job: () => new Promise((resolve) => setTimeout(() => resolve(say({ job: 'done' })), 500)),
  /** As a monitor in this process does while it writes a dump. */
  dumps: () => {
    const { gate } = require('../../../../dist/dispatch/gate.js').processRegistry()
    const holder = new Int32Array(gate)
    // An odd word: of the memory.
    holder[0] = config.dumpsCpu ? 1_000_000 : 1_000_001
    setTimeout(() => {
      say({ dumped: true })
      holder[0] = 0
    }, 2000)
  },
  spins: () => {
    for (;;);
  },
}

let server
let closeFramework
let unanswered = 0
let read = 0
const leak = []

function listen(each, port = 0) {
  server = each
  return new Promise((resolve) => each.listen(port, '127.0.0.1', resolve))
}

/** A primary must not hold more of these with every replacement. */
function holdings() {
  const listeners = (emitter) =>
    emitter.eventNames().reduce((sum, name) => sum + emitter.listenerCount(name), 0)
  globalThis.gc?.()
  return {
    descriptors: fs.readdirSync('/proc/self/fd').length,
    timers: process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length,
    listeners: listeners(process) + listeners(cluster),
    heapBytes: process.memoryUsage().heapUsed,
  }
}

if (config.bogusExecPath && cluster.isPrimary) {
  const { execPath } = process
  process.execPath = '/nowhere/node'
  process.on('SIGHUP', () => (process.execPath = execPath))
}

// Before any worker is forked, so that they are in it too.
if (config.joinCgroup && cluster.isPrimary) fs.writeFileSync(config.joinCgroup, String(process.pid))

if (config.badLogger) {
  const reject = () => Promise.reject(new Error('logger rejected on purpose'))
  config.options.logger = { info: reject, warn: reject, error: reject }
}

if (config.setup && cluster.isPrimary) cluster.setupPrimary(config.setup)

// A primary that trusts the protocol of its own workers.
if (config.trusts && cluster.isPrimary) {
  const hear = (on, message) => globalThis.probe('heard', { on, from: message.from.toUpperCase() })
  cluster.on('message', (_, message) => hear('cluster', message))
  cluster.on('online', (worker) => {
    worker.on('message', (message) => hear('worker', message))
    worker.process.on('message', (message) => hear('process', message))
    worker.send({ to: 'application' })
  })
}

// A primary that forwards, as the workers do.
if (config.forwards && cluster.isPrimary) {
  cluster.on('message', (_, message) => {
    if (message?.toWorkers === undefined) return
    for (const worker of Object.values(cluster.workers)) worker.send(message.toWorkers)
    globalThis.probe('forwarded', {})
  })
}

const handle = run(config.limit ?? '150mb', starts[config.start ?? 'http'], cleans[config.clean ?? 'none'], {
  checkInterval: 100,
  ...config.options,
})

if (config.runsTwice) {
  try {
    run('1gb', () => {})
  } catch (error) {
    say({ refused: error.message })
  }
}

if (globalThis.probe) {
  const names = [
    'ready',
    'over',
    'recycle',
    'drain',
    'recycled',
    'crash',
    'backoff',
    'thrash',
    'limit-unreachable',
  ]
  for (const name of names) handle.on(name, (event) => globalThis.probe(`handle ${name}`, event))
  if (config.badListener) {
    handle.on('ready', () => {
      throw new Error('listener threw on purpose')
    })
    handle.on('ready', () => Promise.reject(new Error('listener rejected on purpose')))
    handle.on('ready', () => {
      throw Object.create(null)
    })
  }
  process.on('SIGHUP', () => globalThis.probe('stats', { ...handle.stats(), holds: holdings() }))
  if (config.stays) setInterval(() => {}, 1000)
  const stop = () => handle.stop().then(() => globalThis.probe('stopped', handle.stats()))
  if (config.stops) process.on('SIGUSR2', stop)
  if (config.stopsAtHangup) process.on('SIGHUP', stop)
  if (config.diesAtOnce) setImmediate(() => process.kill(process.pid, 'SIGKILL'))
}
