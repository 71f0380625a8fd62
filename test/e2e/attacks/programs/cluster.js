// A cluster whose application passes on as messages what its clients send: node cluster.js <{ limit, serialization, ...options }>
const cluster = require('node:cluster')
const http = require('node:http')
const { run } = require('cpu-memory-monitor/cluster')

const { limit = '900mb', serialization = 'json', ...options } = JSON.parse(process.argv[2])
const send = (message) => new Promise((resolve) => process.send(message, resolve))
/** What no client can send as JSON. */
const strange = {
  bigint: 10n,
  nan: NaN,
  infinity: Infinity,
  map: new Map(),
  date: new Date(NaN),
  error: new Error('x'),
}
const paths = {
  '/forward': (body) => send(JSON.parse(body)),
  '/strange': (body) => {
    const { tag, content, key, value } = JSON.parse(body)
    return send({ [tag]: { ...content, [key]: strange[value] } })
  },
  '/grow': () => void (globalThis.ballast = Buffer.alloc(200e6, 1)),
}

async function answer(request, response) {
  let body = ''
  for await (const chunk of request) body += chunk
  await paths[request.url]?.(body)
  response.end(String(process.pid))
}

const listen = () => new Promise((resolve) => http.createServer(answer).listen(0, '127.0.0.1', resolve))

if (cluster.isPrimary) cluster.setupPrimary({ serialization })
const say = (name, payload) => process.send({ name, ...payload })
const line = (level) => (text) => say('line', { level, text })
const logger = { info: line('info'), warn: line('warn'), error: line('error') }
const more = cluster.isPrimary ? { logger } : {}
const handle = run(limit, listen, undefined, { count: 2, minLifetime: 0, ...more, ...options })
if (cluster.isPrimary) lead()

/** A message may hold what the channel to the test does not take. */
function plain(message) {
  try {
    return JSON.parse(JSON.stringify(message))
  } catch {
    return String(message)
  }
}

function lead() {
  const events = []
  let port
  const workers = () => Object.values(cluster.workers)
  const orders = {
    port: () => port,
    events: () => events,
    pids: () => workers().map((worker) => worker.process.pid),
    toWorkers: (message) =>
      Promise.all(workers().map((worker) => new Promise((done) => worker.send(message, done)))),
    stop: () => handle.stop(),
    grow: () =>
      new Promise((done) => http.request({ port, path: '/grow', method: 'POST' }, done).end()).then(
        () => true,
      ),
    /** Resolves when the next worker that is replaced has gone. */
    replaced: () => new Promise((done) => handle.once('recycled', () => done(true))),
  }
  for (const name of ['over', 'recycle', 'recycled', 'crash', 'backoff', 'thrash', 'limit-unreachable']) {
    handle.on(name, (event) => events.push([name, event]))
  }
  cluster.on('listening', (_worker, address) => (port = address.port))
  cluster.on('message', (_worker, message) => say('foreign', { payload: plain(message) }))
  process.on('message', async ({ id, order, input }) => {
    if (order === 'end') process.exit()
    say('answer', { id, output: await orders[order](input) })
  })
  process.on('disconnect', () => process.exit())
  let ready = 0
  handle.on('ready', () => ++ready === (options.count ?? 2) && say('up', {}))
}
