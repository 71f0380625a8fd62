// One case of the benchmark of the watchdog: node watchdog-case.cjs <case> <seconds>. Prints what it measured as JSON.
const { readFileSync } = require('node:fs')
const { Worker } = require('node:worker_threads')
const { setTimeout: sleep } = require('node:timers/promises')

const [name, seconds] = process.argv.slice(2)
/** Until all has been compiled, and V8 has done the collections with which it tidies up some seconds after a start. */
const WARM_UP_MS = 15_000

const options = {
  cpu: { threshold: 10_000 },
  memory: { threshold: '100gb', sampling: false },
  signal: false,
}

/** Starts the monitor and waits for its start line: on a busy machine the thread is not there at once. */
const startMonitor = (more) =>
  new Promise((info) => require('../../..')({ ...options, ...more, logger: { info, warn() {}, error() {} } }))

const cases = {
  nothing: () => {},
  beat: () => {
    const { Beats, BEATS_BYTES } = require('../../../dist/thread/beats.js')
    new Beats(new SharedArrayBuffer(BEATS_BYTES)).start()
  },
  watchdog: () => startMonitor({}),
  'main thread': () => startMonitor({ watchdog: false }),
  '1.x': () => {
    const pidusage = require('pidusage')
    for (let watched = 0; watched < 2; watched++) setInterval(() => pidusage(process.pid, () => {}), 1000)
  },
  'empty worker': () => {
    // What the package loads on the main thread is not the thread's.
    require('../../../dist/thread/watchdog.js')
    require('../../..')
    const resourceLimits = { maxOldGenerationSizeMb: 192, maxYoungGenerationSizeMb: 4 }
    const worker = new Worker('setInterval(() => {}, 1e6)', { eval: true, execArgv: [], resourceLimits })
    worker.unref()
    return new Promise((online) => worker.once('online', online))
  },
}

/** ns on the CPU, of the main thread alone: its thread id is the process's. */
const mainCpuUs = () =>
  Number(readFileSync('/proc/self/task/' + process.pid + '/schedstat', 'utf8').split(' ')[0]) / 1000

async function main() {
  // What is measured keeps no process alive.
  setTimeout(() => {}, 2 ** 31 - 1)
  await cases[name]()
  await sleep(WARM_UP_MS)
  const before = mainCpuUs()
  await sleep(Number(seconds) * 1000)
  const result = { mainCpuUs: mainCpuUs() - before, rssBytes: process.memoryUsage.rss() }
  console.log(JSON.stringify(result))
  process.exit(0)
}

void main()
