// A program with worker threads: node with-workers.js <monitor options as JSON> <case>. Reads `dump <ms>` on its standard input and
// says what became of it; ends when that closes. Functions named `guilty…` are what a profile has to name.
const { Worker } = require('node:worker_threads')
const { monitor, name, say } = require('./stage')

const HOT =
  'function guiltyWorker() { let x = 0; for (let i = 0; i < 1e6; i++) x += Math.sqrt(x + i); return x };'
const spins = `${HOT} for (;;) guiltyWorker()`
const works = `${HOT} setInterval(() => { const end = Date.now() + 60; while (Date.now() < end) guiltyWorker() }, 70)`
const idles = 'setInterval(() => {}, 100)'
const worker = (code, more = {}) => new Worker(code, { eval: true, ...more })
const later = (work) => setTimeout(work, 500)

const cases = {
  hot: () => {
    worker(works, { name: 'resizer' })
    worker(idles, { name: 'calm' })
    worker('Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)', { name: 'waits' })
  },
  idle: () => {
    for (let count = 0; count < 3; count++) worker(idles)
  },
  many: () => {
    for (let count = 0; count < 64; count++) worker(idles, { resourceLimits: { stackSizeMb: 1 } })
    worker(spins, { name: 'the one' })
  },
  names: () => {
    worker(spins, { name: '../../etc/passwd\n"' })
  },
  kinds: () => {
    worker(spins, { name: 'limited', resourceLimits: { maxOldGenerationSizeMb: 50 } })
    worker(`console.log('hidden'); ${spins}`, { name: 'quiet', stdout: true, stderr: true, stdin: true })
    new Worker(new URL(`data:text/javascript,${encodeURIComponent(spins)}`), { name: 'module' })
    worker(
      `new (require('node:worker_threads').Worker)(${JSON.stringify(spins)}, { eval: true, name: 'nested' }); ${idles}`,
      {
        name: 'parent',
      },
    )
  },
  native: () => {
    worker(`require('node:crypto').pbkdf2Sync('a', 'b', 1e9, 64, 'sha512')`, { name: 'stuck' })
    worker(spins, { name: 'spins' })
  },
  /** Workers are born and end all the time, as in a pool that scales; one is busy for good. */
  births: () => {
    worker(spins, { name: 'lasting' })
    const born = () => {
      const short = worker(`${HOT} for (let i = 0; i < 60; i++) guiltyWorker()`)
      short.once('exit', born)
      setTimeout(() => short.terminate(), 150)
    }
    for (let count = 0; count < 4; count++) born()
  },
  /** Born when the dump runs. */
  late: () => {
    process.stdin.once('data', () => setTimeout(() => worker(spins, { name: 'late' }), 300))
  },
  /** Another user of the inspector is attached to the worker and profiles it, as a debugger does. */
  debugged: () => {
    worker(works, { name: 'debugged' })
    const session = new (require('node:inspector').Session)()
    session.connect()
    let sessionId
    session.on('NodeWorker.attachedToWorker', ({ params }) => {
      if (!params.workerInfo.title.endsWith('debugged')) return
      sessionId = params.sessionId
      ask(1, 'Profiler.enable')
      ask(2, 'Profiler.start')
    })
    session.on('NodeWorker.receivedMessageFromWorker', ({ params }) => {
      const { id, result } = JSON.parse(params.message)
      if (id === 3) say({ type: 'theirs', samples: result.profile.samples.length })
    })
    const ask = (id, method) =>
      session.post('NodeWorker.sendMessageToWorker', { sessionId, message: JSON.stringify({ id, method }) })
    later(() => session.post('NodeWorker.enable', { waitForDebuggerOnStart: false }))
    monitor.on('dump', () => ask(3, 'Profiler.stop'))
  },
  mainToo: () => {
    worker(spins, { name: 'beside' })
    later(function guiltyMain() {
      for (let x = 0; ;) x = Math.sqrt(x + 1)
    })
  },
  pool: () => {
    // The shape of piscina and tinypool: an idle worker waits in Atomics.wait, and takes its tasks from a port.
    const { port1, port2 } = new (require('node:worker_threads').MessageChannel)()
    const wake = new Int32Array(new SharedArrayBuffer(4))
    const code = `const { workerData: { wake, port }, receiveMessageOnPort } = require('node:worker_threads'); ${HOT}
      for (;;) {
        Atomics.wait(wake, 0, 0)
        Atomics.store(wake, 0, 0)
        while (require('node:worker_threads').receiveMessageOnPort(port)) guiltyWorker()
      }`
    const pooled = (shared, port) =>
      worker(code, { name: 'pooled', workerData: { wake: shared, port }, transferList: [port] })
    pooled(wake, port2)
    const idle = new (require('node:worker_threads').MessageChannel)()
    pooled(new Int32Array(new SharedArrayBuffer(4)), idle.port2)
    setInterval(() => {
      for (let task = 0; task < 20; task++) port1.postMessage({})
      Atomics.store(wake, 0, 1)
      Atomics.notify(wake, 0)
    }, 20)
  },
}

cases[name]()
later(() => say({ type: 'ready' }))
process.stdin.on('data', async (text) => {
  const [, ms] = /^dump (\d+)/.exec(text.toString()) ?? []
  if (ms === undefined) return
  say({ type: 'dumped', result: await monitor.dumpCpu(Number(ms)) })
})
process.stdin.on('end', () => process.exit())
