// Sends ten requests a second to each port, and prints at the end how long they waited: node fleet-clients.mjs <port …>
import { Agent, get } from 'node:http'

const INTERVAL_MS = 100

const agent = new Agent({ keepAlive: true, maxSockets: Infinity })
const ports = process.argv.slice(2).map(Number)
const waitedMs = []
const failed = []
let open = 0

function ask(port) {
  const sentMs = performance.now()
  open += 1
  const done = (error) => {
    open -= 1
    if (error) failed.push(`${port}: ${error.message}`)
    else waitedMs.push(performance.now() - sentMs)
  }
  get({ port, host: '127.0.0.1', agent }, (response) => {
    response.resume().once('end', () => done(response.statusCode === 200 ? undefined : new Error('not 200')))
  }).once('error', done)
}

ports.forEach((port, at) => {
  setTimeout(() => setInterval(() => ask(port), INTERVAL_MS), (at * INTERVAL_MS) / ports.length)
})
process.once('SIGTERM', () => {
  waitedMs.sort((one, other) => one - other)
  const share = (part) => waitedMs[Math.min(waitedMs.length - 1, Math.floor(part * waitedMs.length))]
  const figures = {
    count: waitedMs.length,
    failed,
    open,
    p50: share(0.5),
    p99: share(0.99),
    longest: share(1),
  }
  process.stdout.write(JSON.stringify(figures), () => process.exit())
})
