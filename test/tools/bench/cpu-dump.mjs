// What a CPU dump costs a server under steady load, beside a plain inspector profile and none, in one process in turns: CPU of
// the main thread per request in the first 3.5 s, and p99 of the latency. Then the pause of the main thread with worker threads,
// and whether loops that ran before the profile keep their names, on Node 20, 22, 24, 26. Exits non-zero when a bound does not hold.
//
//   npm run build && node test/tools/bench/cpu-dump.mjs [requests a second, default 2500] [rounds, default 7]
//
// CMM_NODES: the versions for the names.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { onEachNode } from '../accept/programs/on-each-node.mjs'

const here = (name) => fileURLToPath(new URL(name, import.meta.url))
const [rate = 2500, rounds = 7] = process.argv.slice(2).map(Number)
const CONNECTIONS = 40
const TICK_MS = 4
const WARM_UP_MS = 15_000
/** Between two windows: what one of them left behind, such as code to be optimized again, is over. */
const REST_MS = 5000
const MAX_CPU_RATIO = 1.15
const MAX_PAUSE_RATIO = 2

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const sorted = (values) => [...values].sort((a, b) => a - b)
const median = (values) => sorted(values)[Math.floor(values.length / 2)]

/** Sends requests at that rate whatever the answers do, over connections that take turns. */
async function startLoad(port) {
  const latencies = []
  const connections = Array.from({ length: CONNECTIONS }, () => {
    const socket = connect(port, '127.0.0.1')
    socket.setNoDelay(true)
    const sentAtMs = []
    let rest = ''
    socket.on('data', (text) => {
      // Each answer has one status line.
      const parts = (rest + text.toString('latin1')).split('HTTP/1.1 200')
      rest = parts.at(-1).slice(-12)
      for (let answer = 1; answer < parts.length; answer++)
        latencies.push(performance.now() - sentAtMs.shift())
    })
    return { socket, sentAtMs }
  })
  await Promise.all(connections.map(({ socket }) => once(socket, 'connect')))
  let [sent, turn] = [0, 0]
  const beganMs = performance.now()
  const timer = setInterval(() => {
    const due = ((performance.now() - beganMs) / 1000) * rate
    for (; sent < due; sent++) {
      const { socket, sentAtMs } = connections[turn++ % CONNECTIONS]
      sentAtMs.push(performance.now())
      socket.write('GET /items/7?page=2 HTTP/1.1\r\nhost: a\r\n\r\n')
    }
  }, TICK_MS)
  const stop = () => {
    clearInterval(timer)
    for (const { socket } of connections) socket.destroy()
  }
  return { latencies, stop }
}

async function measureLoad() {
  const server = spawn(process.execPath, [here('cpu-dump-server.cjs')], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  process.once('exit', () => server.kill('SIGKILL'))
  const [{ port }] = await once(server, 'message')
  const { latencies, stop } = await startLoad(port)
  await sleep(WARM_UP_MS)
  const figures = { none: [], plain: [], ours: [] }
  const ways = Object.keys(figures)
  for (let round = 0; round < rounds; round++) {
    for (let place = 0; place < ways.length; place++) {
      const way = ways[(round + place) % ways.length]
      await sleep(REST_MS)
      latencies.length = 0
      server.send(way)
      const [{ cpuUsPerRequest, discarded }] = await once(server, 'message')
      const p99Ms = sorted(latencies)[Math.floor(latencies.length * 0.99)]
      figures[way].push({ cpuUsPerRequest, p99Ms, discarded })
      await once(server, 'message')
    }
  }
  stop()
  server.kill()
  return figures
}

/** The longest pause of the main thread during a dump, ms: without workers, and with 16 of which one is hot, in turns. */
async function measureWorkers() {
  const pauses = { without: [], with16: [] }
  for (let round = 0; round < rounds; round++) {
    for (const [name, ...workers] of [
      ['without', '0', '0'],
      ['with16', '15', '1'],
    ]) {
      const { stdout } = await promisify(execFile)(process.execPath, [
        here('cpu-dump-workers.cjs'),
        ...workers,
      ])
      pauses[name].push(JSON.parse(stdout).pauseMs)
    }
  }
  return { without: median(pauses.without), with16: median(pauses.with16) }
}

const figures = await measureLoad()
const of = (way, figure) => figures[way].map((one) => one[figure])
console.log(`Node ${process.version}, ${rate} requests a second, median of ${rounds} rounds (least to most)`)
for (const way of Object.keys(figures)) {
  const [cpu, p99] = ['cpuUsPerRequest', 'p99Ms'].map((figure) => sorted(of(way, figure)))
  const text = (values, digits) =>
    `${median(values).toFixed(digits)} (${values[0].toFixed(digits)} to ${values.at(-1).toFixed(digits)})`
  console.log(`  ${way.padEnd(6)} ${text(cpu, 0)} us of CPU per request, p99 ${text(p99, 1)} ms`)
}
const ratio = median(of('ours', 'cpuUsPerRequest')) / median(of('plain', 'cpuUsPerRequest'))
console.log(`  ours beside plain: ${ratio.toFixed(2)} times the CPU`)
const pauses = await measureWorkers()
console.log(
  `  longest pause of the main thread: ${pauses.without.toFixed(0)} ms without workers, ` +
    `${pauses.with16.toFixed(0)} ms with 16 of which one is hot`,
)
const bounds = {
  [`with 16 workers at most ${MAX_PAUSE_RATIO} times the pause without`]:
    pauses.with16 <= pauses.without * MAX_PAUSE_RATIO,
  [`at most ${MAX_CPU_RATIO} times the CPU of a plain profile`]: ratio <= MAX_CPU_RATIO,
  'p99 within the spread of a plain profile':
    median(of('ours', 'p99Ms')) <= Math.max(...of('plain', 'p99Ms')),
}
onEachNode('../../bench/cpu-dump-names.mjs')
bounds['each loop keeps its name on each Node'] = process.exitCode !== 1
for (const [bound, holds] of Object.entries(bounds))
  console.log(`  ${holds ? 'holds' : 'DOES NOT HOLD'}: ${bound}`)
process.exit(Object.values(bounds).every(Boolean) ? 0 : 1)
