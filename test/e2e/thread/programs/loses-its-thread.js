// Its watchdog thread dies in the middle of a dump: node loses-its-thread.js <terminate|memory|throws> <options>.
// The death is the test's doing: it keeps the Worker that the package makes, or puts a preload into it.
const workerThreads = require('node:worker_threads')
const { closeSync, openSync, readdirSync } = require('node:fs')
const { join } = require('node:path')
const { createInterface } = require('node:readline')

const [death, options] = process.argv.slice(2)
const orders = new Int32Array(new SharedArrayBuffer(4))
let thread
const { Worker } = workerThreads
workerThreads.Worker = function (file, workerOptions) {
  const env = { ...workerOptions.env, DEATH: death }
  const execArgv = death === 'terminate' ? [] : ['--require', join(__dirname, 'dies-on-order.js')]
  const workerData = { ...workerOptions.workerData, orders }
  thread = new Worker(file, { ...workerOptions, env, execArgv, workerData })
  // Before the package hears of it: the thread's own descriptors are free again.
  if (process.env.HOARDS) thread.once('exit', () => withoutDescriptors(1500))
  return thread
}

const cpuMemoryMonitor = require('../../../..')
const say = (message) => console.log(JSON.stringify(message))
const logger = Object.fromEntries(
  ['info', 'warn', 'error'].map((level) => [level, (line) => say({ type: 'line', level, line })]),
)
const monitor = cpuMemoryMonitor({ logger, ...JSON.parse(options) })
monitor.on('dump', (dump) => say({ type: 'dump', dump }))
monitor.on('skip', (skip) => say({ type: 'skip', skip }))
monitor.on('failure', ({ stage, message }) => say({ type: 'failure', failure: { stage, message } }))

const partials = () => readdirSync('.').filter((name) => name.endsWith('.cpuprofile.partial')).length

function killWhenProfiling() {
  if (partials() === 0) return void setTimeout(killWhenProfiling, 10).unref()
  if (death === 'terminate') thread.terminate()
  else Atomics.store(orders, 0, 1)
}

/** Takes all descriptors that its limit leaves, and gives them back later. */
function withoutDescriptors(ms) {
  const taken = []
  try {
    for (;;) taken.push(openSync('/dev/null'))
  } catch {
    setTimeout(() => taken.forEach((descriptor) => closeSync(descriptor)), ms)
  }
}

/** The dead thread has left one, which is not mended; the other is the main thread's. */
function exitWhenProfilingHere() {
  if (partials() < 2) return void setTimeout(exitWhenProfilingHere, 10)
  setTimeout(() => process.exit(3), 50)
}

killWhenProfiling()
// By lines: on a starved machine one chunk holds several orders.
createInterface({ input: process.stdin }).on('line', obey)

async function obey(order) {
  const [word, ms] = order.split(' ')
  if (word === 'dump') {
    say({ type: 'answer', result: await monitor.dumpCpu(Number(ms)) })
  } else if (word === 'exit') {
    exitWhenProfilingHere()
  } else if (word === 'hang') {
    for (const endsAt = Date.now() + Number(ms); Date.now() < endsAt;) Math.sqrt(2)
    setTimeout(() => say({ type: 'turns' }), 300)
  } else {
    await monitor.stop()
    say({ type: 'stopped', tasks: readdirSync('/proc/self/task').length })
    process.stdin.destroy()
  }
}
